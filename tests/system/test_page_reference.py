"""The reference at `/docs` in a real browser that reaches nothing but the service."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from cosup.child_service import ChildService
from tests.system.page import PHONE, overflow, violations

pytestmark = pytest.mark.system


@pytest.fixture
def alone(browser: Browser, page_service: ChildService) -> Iterator[Page]:
    """A page of a browser whose requests to anything but the service fail, and fail the test."""
    elsewhere: list[str] = []

    def only_the_service(route: Route) -> None:
        if route.request.url.startswith(page_service.url):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route("**/*", only_the_service)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_service.url)
    yield page
    context.close()
    assert elsewhere == []
    assert said == []


def test_the_page_leads_to_the_reference_which_needs_nothing_of_the_network(alone: Page) -> None:
    alone.get_by_role("link", name="API").click()
    expect(alone.get_by_role("heading", name="HTTP API")).to_be_visible()
    alone.get_by_role("navigation", name="Contents").get_by_role("link", name="POST /retrieve").click()
    expect(alone.get_by_role("heading", name="POST /retrieve")).to_be_in_viewport()
    alone.get_by_role("link", name="RetrieveRequest").nth(1).click()
    expect(alone.get_by_role("heading", name="RetrieveRequest")).to_be_in_viewport()
    expect(alone.get_by_role("cell", name="What to look for, as text.")).to_be_visible()
    alone.get_by_role("link", name="Ask").click()
    expect(alone.locator("#question")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(alone: Page, theme: str) -> None:
    alone.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    alone.get_by_role("link", name="API").click()
    expect(alone.get_by_role("heading", name="Problem", exact=True)).to_be_attached()  # the last but a few
    alone.wait_for_load_state()
    assert violations(alone) == []
    assert overflow(alone) <= 0
    alone.set_viewport_size(ViewportSize(width=PHONE["width"], height=PHONE["height"]))
    assert overflow(alone) <= 0
    assert violations(alone) == []
