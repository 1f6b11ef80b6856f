"""The page for everybody: by keyboard alone, for screen readers, on a phone, zoomed, light and dark."""

import pytest
from playwright.sync_api import Browser, Page, expect

from cosup.child_service import ChildService
from tests.system.page import PHONE, answered, overflow, search, violations

pytestmark = pytest.mark.system


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, page: Page) -> Page:
    page.emulate_media(color_scheme=request.param)
    return page


def test_axe_finds_nothing_on_any_screen(themed: Page) -> None:
    page = themed
    assert violations(page) == []
    answered(page)
    page.get_by_text("In words").click()
    page.hover("#answer-text mark >> nth=0")
    assert violations(page) == []
    page.get_by_role("button", name="Settings").click()
    assert violations(page) == []
    page.fill("#max_new_tokens", "5000")
    page.keyboard.press("Enter")
    page.press("#question", "Enter")
    page.get_by_role("alert").wait_for()
    assert violations(page) == []
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot")
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowRight")
    assert violations(page) == []
    page.get_by_role("link", name="Ask").click()
    search(page, "largest elements")
    assert violations(page) == []


def focused(page: Page) -> str:
    script = "document.activeElement.id || document.activeElement.textContent.trim()"
    name: str = page.evaluate(script)
    return name


def test_a_question_is_asked_and_its_passages_are_read_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the question"
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("What does statistics.median do?")
    page.keyboard.press("Enter")
    page.locator("#facts span").first.wait_for()
    for _ in range(12):
        page.keyboard.press("Tab")
        if focused(page) == "1":
            break
    expect(page.locator(".reference").first).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    expect(page.locator("#passage-1")).to_have_class("passage hue-1 active")
    page.keyboard.press("Enter")
    expect(page.locator("#passage-1")).to_be_focused()


def test_settings_are_a_dialog_that_gives_the_focus_back(page: Page) -> None:
    opener = page.get_by_role("button", name="Settings")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_the_map_can_be_left_by_keyboard(page: Page) -> None:
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot")
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Zoom in")).to_be_focused()


def test_the_switch_turns_the_theme_and_is_remembered(page: Page) -> None:
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    switch = page.get_by_role("switch", name="Dark")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    page.get_by_role("switch", name="Dark").click()
    assert page.evaluate(paper) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == dark


@pytest.mark.parametrize("size", [PHONE, {"width": 640, "height": 450}], ids=["phone", "zoomed"])
def test_nothing_scrolls_sideways_on_a_phone_or_at_twice_the_size(page: Page, size: dict[str, int]) -> None:
    page.set_viewport_size(size)  # type: ignore[arg-type]
    assert overflow(page) <= 0
    answered(page)
    assert overflow(page) <= 0
    page.get_by_role("button", name="Settings").click()
    assert overflow(page) <= 0
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#lookups > li")).to_have_count(2)
    assert overflow(page) <= 0
    page.get_by_role("link", name="Ask").click()
    page.select_option("#index", "hostile")
    search(page, "tower")
    assert overflow(page) <= 0


def test_a_long_passage_is_folded_and_can_be_opened(page: Page) -> None:
    page.select_option("#index", "hostile")
    search(page, "tower")
    card = page.locator("article", has_text="yyyy")
    before = card.locator(".text").bounding_box()
    button = card.get_by_role("button", name="Show all")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(card.get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")
    after = card.locator(".text").bounding_box()
    assert before
    assert after
    assert after["height"] > before["height"]


def test_with_less_motion_nothing_moves(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('#answer-text'), '::after').animationName") == "none"


def test_without_storage_the_page_works_all_the_same(browser: Browser, page_service: ChildService) -> None:
    context = browser.new_context()
    context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        " Object.defineProperty(window, name, { get() { throw new DOMException('forbidden', 'SecurityError'); } });"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(page_service.url)
    page.get_by_role("switch", name="Dark").click()
    answered(page)
    assert page.locator("#answer-text mark").count() == 2
    context.close()
