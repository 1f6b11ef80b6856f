"""A service with the nano pair and two small indexes, and a real browser that looks at its page."""

import heapq
import inspect
import os.path
import shutil
import statistics
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cosup.child_service import ChildService, child_service
from semiparametric.formats import Passage
from tests.small_index import build_small_index

NANO = Path(__file__).parents[2] / "models" / "nano"
DESCRIBED = (
    *(os.path.getsize, os.path.getmtime, os.path.getatime, os.path.isdir, os.path.join, os.path.basename),
    *(statistics.median, statistics.mean, statistics.mode, statistics.variance),
    *(heapq.nlargest, heapq.nsmallest, heapq.merge, textwrap.dedent),
)
HOSTILE = [
    Passage(
        id='"><svg onload="document.title=1">',
        title="<img src=x onerror=\"document.title='stolen'\">",
        text="</p><script>document.title = 'stolen'</script> & <b>bold</b> &amp;",
        source="javascript:alert(1)",
    ),
    Passage(id="override", title="\u202etitle", text="\u202eevil \u2066 unclosed", source="\u202esource"),
    Passage(id="arabic", title="مفتاح", text="مفتاح غرفة 7 (north)", source="a.md"),
    Passage(id="emoji", title="🗼 tower", text="The 🗼 stands 👩‍👩‍👧 by the sea."),
    Passage(id="long", title="x" * 300, text="y" * 3000, source="z" * 300),
]


def docstring_passages() -> list[Passage]:
    """Passages in the form of the demo's corpus, from the docstrings of this Python."""
    named = {f"{public_module(function)}.{function.__name__}": function for function in DESCRIBED}
    return [
        Passage(id=f"python:{name}", title=f"{name}{inspect.signature(function)}", text=inspect.getdoc(function) or "")
        for name, function in named.items()
    ]


def public_module(function: Callable[..., object]) -> str:
    """The module that a function is documented in: `os.path` for those of its platform."""
    name = function.__module__
    return "os.path" if name in {"genericpath", "posixpath"} else name


@pytest.fixture(scope="session")
def page_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    """One service for all tests of the page."""
    with service_of_the_page(tmp_path_factory.mktemp("page")) as service:
        yield service


@contextmanager
def service_of_the_page(folder: Path, more: Sequence[str] = ()) -> Iterator[ChildService]:
    """It has two places and no queue, so that two long answers make it busy."""
    python = build_small_index(NANO, folder / "python", passages=docstring_passages(), name="python")
    hostile = build_small_index(NANO, folder / "hostile", passages=HOSTILE, name="hostile")
    options = ["--pair", str(NANO), "--index", str(python), "--index", str(hostile), "--port", "0", "--threads", "1"]
    with child_service([*options, "--max-sessions", "2", "--queue", "0", *more], folder / "log") as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a module at a time, because its driver keeps an event loop that tests of coroutines would trip over."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here; install it to test the page (on Debian: apt install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, page_service: ChildService) -> Iterator[Page]:
    """The page, just opened."""
    with opened(browser, page_service.url) as page:
        yield page


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """The page in a window of its own. What a script raises, and what the page's policy forbids, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)  # a busy machine needs more than the usual five seconds
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(url)
    loaded = page.locator("#serving:not(:empty), dialog[open]")  # the line of the index, or the question for a key
    expect(loaded.first).to_be_attached()
    yield page
    context.close()
    assert wrong == []
