"""Asking on the page in a real browser: the answer as it is written, its cited spans, its passages and the strip."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from cosup.child_service import ChildService
from tests.system.page import QUESTION, answered, ask, set_to, text_of, with_fields
from tests.system.places import wait_for_places

pytestmark = pytest.mark.system

SOME_WORDS = re.compile(".{20,}", re.DOTALL)


def test_an_answer_streams_in_with_its_cited_spans_and_cards(page: Page, page_service: ChildService) -> None:
    answered(page)
    body = {"question": QUESTION}
    answer = httpx.post(f"{page_service.url}/generate", json=body, timeout=60, trust_env=False).json()
    assert text_of(page, "#answer-text") == answer["answer"]
    cited = [answer["answer"][one["start"] : one["end"]] for one in answer["citations"]]
    assert len(cited) == 2
    assert [text_of(page, f"#answer-text mark >> nth={number}") for number in (0, 1)] == cited
    for number, (passage, citation) in enumerate(zip(answer["passages"], answer["citations"], strict=True), 1):
        card = page.locator(f"#passage-{number}")
        expect(card.locator("h3 bdi")).to_have_text(passage["title"])
        expect(card.locator(".text")).to_have_text(passage["text"], use_inner_text=False)
        expect(card.locator(".scores")).to_contain_text(f"{passage['score']:.3f}")
        expect(card.locator(".scores")).to_contain_text(f"{round(citation['probability'] * 100)} %")
    expect(page.locator("#facts")).to_contain_text("2 lookups")
    expect(page.locator("#status")).to_contain_text(f"citing 2 passages: {answer['answer']}")
    expect(page.locator("#answer-text")).to_have_attribute("aria-busy", "false")


def test_text_appears_while_the_answer_is_being_written(page: Page) -> None:
    page.evaluate("""() => {
        window.seen = [];
        const place = document.querySelector("#answer-text");
        new MutationObserver(() => window.seen.push([place.textContent.length, place.ariaBusy])).observe(
            place, { childList: true, characterData: true, subtree: true });
    }""")
    answered(page)
    lengths = [length for length, busy in page.evaluate("window.seen") if busy == "true"]
    assert len(set(lengths)) > 10


def test_examples_are_offered_where_they_fit_and_can_be_clicked(page: Page) -> None:
    page.select_option("#index", "hostile")
    expect(page.locator("#examples")).to_be_hidden()
    page.select_option("#index", "python")
    page.get_by_role("button", name="What does textwrap.dedent do?").click()
    page.locator("#facts span").first.wait_for()
    expect(page.locator("#passage-1 h3 bdi")).to_have_text("textwrap.dedent(text)")
    expect(page.locator("#welcome")).to_be_hidden()


def test_a_cited_span_and_its_card_light_up_together_and_lead_to_one_another(page: Page) -> None:
    answered(page)
    page.hover("#answer-text mark >> nth=1")
    assert lit(page) == {("2", name) for name in ("mark", "article", "rect", "g")}
    page.hover("#passage-1")
    assert lit(page) == {("1", name) for name in ("mark", "article", "rect", "g")}
    page.get_by_role("link", name="Passage 2: os.path.getmtime").click()
    expect(page.locator("#passage-2")).to_be_focused()
    expect(page.locator("#answer-text mark >> nth=1")).to_have_class("hue-2 active")
    assert page.url.endswith("/")


def lit(page: Page) -> set[tuple[str, str]]:
    """Passage number and kind of element of everything that lights up."""
    script = "all => all.map((one) => [one.dataset.passage, one.localName])"
    return {(number, name) for number, name in page.locator(".active").evaluate_all(script)}


def test_the_strip_shows_each_token_and_each_lookup_and_says_it_in_words(page: Page) -> None:
    answered(page)
    expect(page.locator("#strip svg g.lookup")).to_have_count(2)
    bars = page.locator("#strip svg rect")
    assert "".join(bars.locator("title").all_text_contents()) == text_of(page, "#answer-text")
    assert set(bars.evaluate_all("all => all.map((one) => one.dataset.passage)")) == {"1", "2"}
    page.get_by_text("In words").click()
    told = page.locator("#strip details li").all_text_contents()
    assert told[0].startswith("Looked up, and found passage 1, os.path.getsize(filename) (score 0.")
    assert [line.split(" ")[0] for line in told] == ["Looked", "Wrote", "Looked", "Wrote"]
    count = sum(int(line.split(" ")[1]) for line in told if line.startswith("Wrote"))
    assert count == bars.count()


def test_a_lookup_that_was_not_used_is_drawn_and_told_as_such(page: Page) -> None:
    set_to(page, min_score="0.99")
    answered(page)
    expect(page.locator("#finish")).to_contain_text("No passage scored high enough")
    expect(page.locator("#passages")).to_be_hidden()
    expect(page.locator("#strip svg g.unused")).to_have_count(1)
    page.get_by_text("In words").click()
    expect(page.locator("#strip details")).to_contain_text("Looked up, and used nothing: the best was python:os.path.")


def test_stopping_keeps_what_was_written_and_frees_the_place(page: Page, page_service: ChildService) -> None:
    set_to(page, temperature="2", seed="1", max_new_tokens="1000")
    page.get_by_role("button", name="Settings").click()
    page.select_option("#retrieval", "never")
    page.get_by_role("button", name="Done").click()
    ask(page, "Why?")
    expect(page.locator("#answer-text")).to_have_text(SOME_WORDS)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#finish")).to_have_text("Stopped before its end.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    written = page.locator("#answer-text").text_content() or ""
    assert len(written) > 20
    wait_for_places(page_service)
    assert page.locator("#answer-text").text_content() == written


def test_a_new_question_takes_the_place_of_one_under_way(page: Page) -> None:
    with_fields(page, temperature=2.0, seed=1, retrieval="never", max_new_tokens=1000)
    ask(page, "Why?")
    expect(page.locator("#answer-text")).to_have_text(SOME_WORDS)
    page.unroute("**/generate")
    answered(page)
    assert text_of(page, "#answer-text").startswith("os.path.getsize()")
    expect(page.locator("#finish")).to_be_hidden()
