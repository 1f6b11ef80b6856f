"""Passages on the page: searched alone, and as text whatever they hold."""

import pytest
from playwright.sync_api import Page, expect

from tests.system.conftest import HOSTILE
from tests.system.page import answered, search, with_fields

pytestmark = pytest.mark.system


def test_a_search_gives_passages_alone_and_no_answer(page: Page) -> None:
    search(page, "largest elements")
    expect(page.locator("#passages article")).to_have_count(5)
    expect(page.locator("#passages-heading")).to_have_text("5 passages, nearest first")
    expect(page.locator("#answer")).to_be_hidden()
    scores = [float(text) for text in page.locator(".scores dd").all_text_contents()]
    assert scores == sorted(scores, reverse=True)
    expect(page.get_by_role("button", name="Search")).to_be_visible()


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
