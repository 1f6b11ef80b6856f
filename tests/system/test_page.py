"""The page in a real browser, before a real service with the nano pair."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cosup.child_service import ChildService
from service.keys.key_file import create_key
from tests.system.conftest import HOSTILE, opened, service_of_the_page

pytestmark = pytest.mark.system

SOME_WORDS = re.compile(".{20,}", re.DOTALL)
QUESTION = "What is the difference between os.path.getsize and os.path.getmtime?"
LONG = {"question": "Why?", "retrieval": "never", "temperature": 2.0, "seed": 1, "max_new_tokens": 1024, "stream": True}


def ask(page: Page, question: str = QUESTION) -> None:
    page.fill("#question", question)
    page.press("#question", "Enter")


def answered(page: Page, question: str = QUESTION) -> None:
    ask(page, question)
    page.locator("#facts span").first.wait_for()


def search(page: Page, query: str) -> None:
    page.get_by_label("Passages only").check()
    ask(page, query)
    page.locator("#passages article").first.wait_for()


def set_to(page: Page, **values: str) -> None:
    page.get_by_role("button", name="Settings").click()
    for name, value in values.items():
        page.fill(f"#{name}", value)
    page.get_by_role("button", name="Done").click()


def with_fields(page: Page, **fields: object) -> None:
    """Add fields to what the page sends, to reach what its settings do not offer."""

    def add(route: Route) -> None:
        route.continue_(post_data=json.dumps(json.loads(route.request.post_data or "{}") | fields))

    page.route("**/generate", add)


@contextmanager
def all_places_taken(service: ChildService) -> Iterator[None]:
    read = []  # an iterator of lines that nobody holds any more hangs up
    with ExitStack() as streams:
        for _ in range(2):
            reply = streams.enter_context(
                httpx.stream("POST", f"{service.url}/generate", json=LONG, timeout=60, trust_env=False)
            )
            read.append(reply.iter_lines())
            assert next(read[-1]) == "event: token"
        yield


def wait_for_places(service: ChildService) -> None:
    """Wait until both places are free: what the browser or a test left is ended by the service, not at once by us."""
    deadline = time.monotonic() + 60
    short = LONG | {"max_new_tokens": 1, "stream": False}
    with ThreadPoolExecutor(2) as pool:
        while True:
            both = pool.map(
                lambda _: httpx.post(f"{service.url}/generate", json=short, timeout=60, trust_env=False).status_code,
                range(2),
            )
            if set(both) == {200}:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)


def text_of(page: Page, selector: str) -> str:
    """The text without the numbers of references."""
    script = """place => {
        const copy = place.cloneNode(true);
        copy.querySelectorAll(".reference").forEach((one) => one.remove());
        return copy.textContent;
    }"""
    text: str = page.locator(selector).evaluate(script)
    return text


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


def test_settings_go_with_the_request_and_are_remembered(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.select_option("#retrieval", "first")
    page.fill("#top_k", "3")
    page.fill("#seed", "7")
    page.fill("#temperature", "0.5")
    page.fill("#max_new_tokens", "9")
    page.get_by_role("button", name="Done").click()
    page.reload()
    with page.expect_request("**/generate") as sent:
        answered(page)
    asked = {"retrieval": "first", "top_k": 3, "seed": 7, "temperature": 0.5, "max_new_tokens": 9}
    assert sent.value.post_data_json == asked | {
        "question": QUESTION,
        "index": "python",
        "stream": True,
        "lookups": True,
    }
    expect(page.locator("#finish")).to_contain_text("cut off")
    expect(page.locator("#passage-1 .also summary")).to_have_text("The lookup found 2 more passages")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Defaults").click()
    page.get_by_role("button", name="Done").click()
    with page.expect_request("**/generate") as sent:
        ask(page)
    assert "top_k" not in (sent.value.post_data_json or {"top_k": "nothing was sent"})


def test_a_search_gives_passages_alone_and_no_answer(page: Page) -> None:
    search(page, "largest elements")
    expect(page.locator("#passages article")).to_have_count(5)
    expect(page.locator("#passages-heading")).to_have_text("5 passages, nearest first")
    expect(page.locator("#answer")).to_be_hidden()
    scores = [float(text) for text in page.locator(".scores dd").all_text_contents()]
    assert scores == sorted(scores, reverse=True)
    expect(page.get_by_role("button", name="Search")).to_be_visible()


def test_examples_are_offered_where_they_fit_and_can_be_clicked(page: Page) -> None:
    page.select_option("#index", "hostile")
    expect(page.locator("#examples")).to_be_hidden()
    page.select_option("#index", "python")
    page.get_by_role("button", name="What does statistics.median do?").click()
    page.locator("#facts span").first.wait_for()
    expect(page.locator("#passage-1 h3 bdi")).to_have_text("statistics.median(data)")
    expect(page.locator("#welcome")).to_be_hidden()


def test_the_chosen_index_is_the_one_asked(page: Page) -> None:
    page.select_option("#index", "hostile")
    expect(page.locator("#serving")).to_have_text(f"Index hostile, version 1, {len(HOSTILE)} passages")
    search(page, "tower")
    assert page.locator("#passages article").count() == len(HOSTILE)


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


def test_a_busy_service_is_said_with_a_way_to_try_again(page: Page, page_service: ChildService) -> None:
    wait_for_places(page_service)
    with all_places_taken(page_service):
        ask(page)
        expect(page.get_by_role("alert")).to_contain_text("All places are taken")
        expect(page.get_by_role("alert")).to_contain_text("Try again in 2 s.")
        expect(page.get_by_role("alert")).to_contain_text("Request ")
    wait_for_places(page_service)
    page.get_by_role("button", name="Try again").click()
    page.locator("#facts span").first.wait_for()
    expect(page.locator("#problem")).to_be_hidden()


@pytest.mark.bad_input
def test_a_setting_that_the_service_refuses_is_marked_where_it_stands(page: Page) -> None:
    set_to(page, max_new_tokens="5000")
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("5000 is more than this service allows. Ask for 1024 at most")
    page.get_by_role("button", name="Open settings").click()
    field = page.locator("#max_new_tokens")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#max_new_tokens-error")).to_contain_text("Ask for 1024 at most")
    field.fill("50")
    expect(page.locator("#max_new_tokens-error")).to_have_count(0)


@pytest.mark.bad_input
def test_a_question_that_is_too_long_is_refused_with_the_limit(page: Page) -> None:
    ask(page, "long " * 5000)
    expect(page.get_by_role("alert")).to_contain_text("tokens with its prompt; the limit is")


def test_a_service_that_is_gone_is_said(page: Page) -> None:
    page.context.set_offline(True)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer. Is it still running?")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    page.locator("#facts span").first.wait_for()


def test_an_answer_that_breaks_off_keeps_its_text_and_is_said(page: Page) -> None:
    cut = 'event: token\ndata: {"text": "Half an"}\n\nevent: token\ndata: {"text": " ans'
    page.route("**/generate", lambda route: route.fulfill(body=cut, content_type="text/event-stream"))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The answer broke off before its end.")
    expect(page.locator("#answer-text")).to_have_text("Half an")


def test_an_error_in_the_middle_of_an_answer_is_said_with_its_request(page: Page) -> None:
    problem = {"title": "The service failed", "status": 500, "detail": "See the log.", "request_id": "r-1"}
    events = f'event: token\ndata: {{"text": "Half"}}\n\nevent: error\ndata: {json.dumps(problem)}\n\n'
    page.route("**/generate", lambda route: route.fulfill(body=events, content_type="text/event-stream"))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The service failed")
    expect(page.get_by_role("alert")).to_contain_text("Request r-1")


def test_no_key_is_asked_for_where_none_is_needed(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("Access key")).to_be_hidden()


def test_a_key_is_asked_for_where_one_is_needed_and_opens_its_indexes_alone(browser: Browser, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    secret = create_key(keys, "reader", ["python"]).get_secret_value()
    with (
        service_of_the_page(tmp_path, ["--keys", str(keys)]) as service,
        opened(browser, service.url) as page,
    ):
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_label("Access key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Access key")).to_be_focused()
        page.get_by_label("Access key").fill(secret)
        page.keyboard.press("Enter")
        expect(page.locator("#serving")).to_contain_text("Index python")
        expect(page.locator(".chooser")).to_be_hidden()
        answered(page)
        stored = "secret => [sessionStorage, localStorage].map((one) => JSON.stringify(one).includes(secret))"
        assert page.evaluate(stored, secret) == [True, False]
        assert secret not in page.url
        page.reload()
        page.get_by_role("link", name="Map").click()
        expect(page.locator("#map-about")).to_contain_text("Each dot")


@pytest.mark.bad_input
def test_markup_in_passages_stays_text(page: Page) -> None:
    page.select_option("#index", "hostile")
    search(page, "tower")
    titles = page.locator("#passages h3 bdi").all_text_contents()
    assert set(titles) == {passage.title for passage in HOSTILE}
    texts = page.locator("#passages .text").all_text_contents()
    assert set(texts) == {passage.text for passage in HOSTILE}
    with_fields(page, candidates=[HOSTILE[0].id], retrieval="first", min_score=-1)
    page.get_by_role("radio", name="Answer").check()
    answered(page, "What stands by the sea?")
    expect(page.locator("#passage-1 h3 bdi")).to_have_text(HOSTILE[0].title)
    page.get_by_text("In words").click()
    page.get_by_role("link", name="Map").click()
    page.locator("#lookups li li").first.wait_for()
    page.locator("#lookups li li button").first.click()
    expect(page.locator("#tip")).to_have_text(HOSTILE[0].title)
    assert page.locator("main img, main script, main b, main svg[onload]").count() == 0
    assert page.title() == "Map · Cosup"


@pytest.mark.bad_input
def test_a_passage_cannot_reorder_what_stands_around_it(page: Page) -> None:
    page.select_option("#index", "hostile")
    search(page, "tower")
    card = page.locator("article", has_text="unclosed")
    number, title = card.locator(".number").bounding_box(), card.locator("h3 bdi").bounding_box()
    name, score = card.locator("dt").bounding_box(), card.locator("dd").bounding_box()
    assert number
    assert title
    assert name
    assert score
    assert number["x"] < title["x"]
    assert name["x"] < score["x"]
    arabic = page.locator("article", has_text="north")
    assert arabic.locator(".text").evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert arabic.locator("header").evaluate("one => getComputedStyle(one).direction") == "ltr"
    with_fields(page, candidates=["override"], retrieval="first", min_score=-1, top_k=1)
    page.get_by_role("radio", name="Answer").check()
    answered(page, "What stands by the sea?")
    assert page.locator("#answer-text mark").evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    page.get_by_text("In words").click()
    told = page.locator("#strip details li").first
    assert told.locator("bdi").evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"


def test_the_map_shows_passages_and_the_lookups_of_the_last_answer(page: Page) -> None:
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot is a passage (all 13)")
    expect(page.locator("#no-lookups")).to_be_visible()
    page.get_by_role("link", name="Ask").click()
    set_to(page, top_k="2")
    answered(page)
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#lookups > li")).to_have_count(2)
    expect(page.locator("#lookups > li").first.locator("li").first).to_contain_text("os.path.getsize(filename)")
    assert inked(page) > 500


def inked(page: Page) -> int:
    """Pixels of the canvas that something was drawn on."""
    page.wait_for_timeout(200)
    count: int = page.locator("#canvas").evaluate("""canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
        return count;
    }""")
    return count


def test_a_point_of_the_map_shows_its_title_under_the_pointer_and_under_the_keyboard(page: Page) -> None:
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot")
    canvas = page.locator("#canvas")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_be_visible()
    first = page.locator("#tip").text_content()
    titles = {first}
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        titles.add(page.locator("#tip").text_content())
        expect(page.locator("#map-told")).to_have_text(page.locator("#tip").text_content() or "")
    assert len(titles) > 1
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()
    box = canvas.bounding_box()
    assert box
    shown = set()
    for x in range(10, int(box["width"]), 12):
        page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
        if page.locator("#tip").is_visible():
            shown.add(page.locator("#tip").text_content())
    assert shown
    assert all(name and "(" in name for name in shown)


def test_the_map_zooms_pans_and_fits(page: Page) -> None:
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot")
    page.locator("#canvas").focus()
    fitted = picture(page)
    page.get_by_role("button", name="Zoom in").click()
    zoomed = picture(page)
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(460, 430)
    page.mouse.up()
    panned = picture(page)
    page.get_by_role("button", name="Fit").click()
    page.mouse.move(5, 5)
    assert len({fitted, zoomed, panned}) == 3
    assert picture(page) == fitted


def picture(page: Page) -> str:
    page.wait_for_timeout(200)
    drawn: str = page.locator("#canvas").evaluate("canvas => canvas.toDataURL()")
    return drawn
