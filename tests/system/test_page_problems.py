"""What the page says, and offers, where there is no answer or only half of one."""

import json

import pytest
from playwright.sync_api import Page, expect

from cosup.child_service import ChildService
from tests.system.page import ask, set_to
from tests.system.places import all_places_taken, wait_for_places

pytestmark = pytest.mark.system


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
