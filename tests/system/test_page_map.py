"""The map of the page: the passages of an index, and the lookups of the last answer among them."""

import pytest
from playwright.sync_api import Page, expect

from tests.system.page import answered, set_to

pytestmark = pytest.mark.system


def test_the_map_shows_passages_and_the_lookups_of_the_last_answer(page: Page) -> None:
    page.get_by_role("link", name="Map").click()
    expect(page.locator("#map-about")).to_contain_text("Each dot is a passage (all 14)")
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
    for y in range(10, int(box["height"]), 30):  # where the dots lie is for the pair to say
        for x in range(10, int(box["width"]), 15):
            page.mouse.move(box["x"] + x, box["y"] + y)
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
