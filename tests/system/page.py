"""What readers do on the page in a browser, and what they can see there."""

import json

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route

QUESTION = "What is the difference between os.path.getsize and os.path.getmtime?"
PHONE = {"width": 360, "height": 740}


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


def text_of(page: Page, selector: str) -> str:
    """The text without the numbers of references."""
    script = """place => {
        const copy = place.cloneNode(true);
        copy.querySelectorAll(".reference").forEach((one) => one.remove());
        return copy.textContent;
    }"""
    text: str = page.locator(selector).evaluate(script)
    return text


def violations(page: Page) -> list[str]:
    """What axe-core finds, contrast of colours included."""
    page.wait_for_timeout(300)  # transitions of colours end
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width
