"""The page's modules on their own, run by a real browser and compared with slow and obvious Python."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from cosup.child_service import ChildService
from tests.system.conftest import opened

pytestmark = pytest.mark.system

STREAM = (
    '\ufeffevent: token\ndata: {"text": "a: b"}\n\n'
    ": a comment keeps the connection open\n\n"
    "event: two\r\ndata: one\r\ndata: two\r\ndata\r\n\r\n"
    "data:without a space\rdata:  with two\r\r"
    "id: 7\nretry: 10\nevent: without data\n\n"
    "event: emoji\ndata: 🗼👩‍👧 ü\n\n"
    "event: last\ndata: never ended\n"
)
EVENTS = [
    {"event": "token", "data": '{"text": "a: b"}'},
    {"event": "two", "data": "one\ntwo\n"},
    {"event": "message", "data": "without a space\n with two"},
    {"event": "emoji", "data": "🗼👩‍👧 ü"},
]


@pytest.fixture(scope="module")
def page(browser: Browser, page_service: ChildService) -> Iterator[Page]:
    """One page for all: the modules are asked, not the page."""
    with opened(browser, page_service.url) as page:
        yield page


def module(page: Page, name: str, body: str, given: Any = None) -> Any:
    """What a function body gives that has the module as `module` and the argument as `given`."""
    script = f"async (given) => {{ const module = await import('./page/{name}'); {body} }}"
    return page.evaluate(script, given)


def test_events_are_the_same_wherever_the_stream_is_cut(page: Page) -> None:
    body = """
        const wrong = [];
        for (let cut = 0; cut <= given.length; cut += 1) {
            const parser = new module.EventParser();
            const events = [...parser.push(given.slice(0, cut)), ...parser.push(given.slice(cut))];
            wrong.push(JSON.stringify(events));
        }
        const parser = new module.EventParser();
        wrong.push(JSON.stringify([...given].flatMap((one) => parser.push(one))));
        return [...new Set(wrong)];
    """
    different = module(page, "events.js", body, STREAM)
    assert [json.loads(one) for one in different] == [EVENTS]


def test_events_are_read_from_bytes_cut_inside_characters(page: Page) -> None:
    body = """
        const bytes = new TextEncoder().encode(given);
        const stream = new ReadableStream({ start(controller) {
            for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
            controller.close();
        } });
        const events = [];
        for await (const event of module.eventsOf(stream)) events.push(event);
        return events;
    """
    assert module(page, "events.js", body, STREAM) == EVENTS


def test_leaving_a_stream_early_cancels_it(page: Page) -> None:
    body = """
        let cancelled = false;
        const stream = new ReadableStream({
            pull(controller) { controller.enqueue(new TextEncoder().encode("data: x\\n\\n")); },
            cancel() { cancelled = true; },
        });
        for await (const _ of module.eventsOf(stream)) break;
        return cancelled;
    """
    assert module(page, "events.js", body) is True


def test_offsets_are_code_points_as_in_python(page: Page) -> None:
    dice = random.Random(0)
    alphabet = "ab \n🗼👩\u200d👧é灯\u202eש🌊"
    cases: list[tuple[str, list[dict[str, int]]]] = []
    for _ in range(200):
        answer = "".join(dice.choices(alphabet, k=dice.randrange(1, 30)))
        cuts = sorted(dice.sample(range(len(answer) + 1), k=min(len(answer) + 1, 4)))
        spans = [{"start": start, "end": end} for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
        cases.append((answer, spans))
    body = "return given.map(([answer, spans]) => module.slicesOf(answer, spans));"
    for (answer, spans), slices in zip(cases, module(page, "codepoints.js", body, cases), strict=True):
        assert "".join(one["text"] for one in slices) == answer
        cited = [one["text"] for one in slices if one["citation"]]
        assert cited == [answer[span["start"] : span["end"]] for span in spans]
    counted = module(page, "codepoints.js", "return given.map(([a]) => module.codePointsOf(a));", cases)
    assert counted == [len(answer) for answer, _ in cases]


def test_a_trace_puts_a_lookup_that_was_not_used_where_it_was_made(page: Page) -> None:
    body = """
        const trace = new module.Trace();
        trace.token("🗼 "); trace.token("stands");
        trace.retrieval([{ id: "p" }]); trace.token(" here"); trace.citation({});
        trace.token(" and"); trace.token(" there");
        trace.done([{ at: 8, used: true, passages: [] }, { at: 17, used: false, passages: [{ id: "q" }] }]);
        return trace.steps.map(({ kind, passage, pieces }) => [kind, passage, (pieces ?? []).join("")]);
    """
    assert module(page, "decoding.js", body) == [
        ["tokens", None, "🗼 stands"],
        ["lookup", 1, ""],
        ["tokens", 1, " here"],
        ["tokens", None, " and"],
        ["lookup", None, ""],
        ["tokens", None, " there"],
    ]


def test_a_passage_found_twice_keeps_its_number(page: Page) -> None:
    body = """
        const trace = new module.Trace();
        return ["a", "b", "a"].map((id) => trace.retrieval([{ id }]));
    """
    assert module(page, "decoding.js", body) == [1, 2, 1]


def test_the_strip_breaks_into_rows_as_wide_as_there_is_room(page: Page) -> None:
    steps = [{"kind": "lookup", "passage": 1}, {"kind": "tokens", "passage": 1, "pieces": ["x"] * 100}]
    marks = module(page, "strip.js", "return module.laidOut(given, 200);", steps)
    assert len(marks) == 101
    assert max(mark["x"] for mark in marks) < 200
    assert [mark["row"] for mark in marks] == sorted(mark["row"] for mark in marks)
    assert marks[-1]["row"] == 4


def test_the_nearest_point_and_the_neighbours_of_a_point_are_found(page: Page) -> None:
    dice = random.Random(1)
    points = [{"x": dice.uniform(-1, 1), "y": dice.uniform(-1, 1)} for _ in range(500)]
    pixels = [{"x": dice.uniform(0, 400), "y": dice.uniform(0, 300)} for _ in range(100)]
    body = """
        const camera = new module.Camera();
        camera.size = { width: 400, height: 300 };
        camera.fit(given.points);
        const where = given.points.map((point) => camera.toPixel(point));
        const found = given.pixels.map((pixel) => module.nearest(given.points, camera, pixel, 20));
        return { where, found };
    """
    given = {"points": points, "pixels": pixels}
    drawn = module(page, "chart.js", body, given)
    assert all(0 <= one["x"] <= 400 and 0 <= one["y"] <= 300 for one in drawn["where"])
    for pixel, found in zip(pixels, drawn["found"], strict=True):
        distances = [(one["x"] - pixel["x"]) ** 2 + (one["y"] - pixel["y"]) ** 2 for one in drawn["where"]]
        expected = distances.index(min(distances)) if min(distances) <= 400 else -1
        assert found == expected


def test_zooming_keeps_what_is_under_the_pointer_in_its_place(page: Page) -> None:
    body = """
        const camera = new module.Camera();
        camera.size = { width: 400, height: 300 };
        camera.fit([{ x: -1, y: -1 }, { x: 1, y: 1 }]);
        const point = { x: 0.4, y: 0.7 };
        const before = camera.toPixel(point);
        camera.zoom(3, before);
        const after = camera.toPixel(point);
        camera.pan(10, -5);
        const moved = camera.toPixel(point);
        return [before.x - after.x, before.y - after.y, moved.x - after.x, moved.y - after.y];
    """
    assert module(page, "chart.js", body) == pytest.approx([0, 0, 10, -5], abs=1e-9)


def test_tens_of_thousands_of_points_are_drawn(page: Page) -> None:
    body = """
        const points = Array.from({ length: 40000 }, (_, at) => ({ x: Math.sin(at), y: Math.cos(at * at) }));
        const camera = new module.Camera();
        camera.size = { width: 800, height: 600 };
        camera.fit(points);
        const canvas = new OffscreenCanvas(800, 600);
        const pen = canvas.getContext("2d");
        const stamp = module.stampOf("black", points.length, camera.size, 1);
        module.drawDots(pen, points, camera, stamp, 1);
        const { data } = pen.getImageData(0, 0, 800, 600);
        return data.filter((value, at) => at % 4 === 3 && value > 0).length;
    """
    assert module(page, "chart.js", body) > 10_000
