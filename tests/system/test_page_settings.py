"""What is chosen on the page goes with each request: settings, an index, a key."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.keys.key_file import create_key
from tests.system.conftest import HOSTILE, opened, service_of_the_page
from tests.system.page import QUESTION, answered, ask, search

pytestmark = pytest.mark.system


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


def test_the_chosen_index_is_the_one_asked(page: Page) -> None:
    page.select_option("#index", "hostile")
    expect(page.locator("#serving")).to_have_text(f"Index hostile, version 1, {len(HOSTILE)} passages")
    search(page, "tower")
    assert page.locator("#passages article").count() == len(HOSTILE)


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
