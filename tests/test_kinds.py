"""The counts at the end of a run count what ran."""

import pytest

from tests.documents import ROOT

pytest_plugins = ["pytester"]


def test_counts_by_kind_stand_in_the_summary(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest("from tests.kinds import pytest_terminal_summary")
    pytester.makeini("[pytest]\nmarkers = system\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("""
        import pytest

        def test_plain(): pass

        def test_an_empty_question_is_refused(): pass

        @pytest.mark.system
        def test_a_store_that_is_damaged_is_refused(): assert False

        @pytest.mark.system
        def test_skipped(): pytest.skip("not here")
    """)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lines = pytester.runpytest_subprocess().outlines
    assert "unit       2 passed" in lines
    assert "system     1 failed, 1 skipped" in lines
    assert "bad input  1 passed, 1 failed" in lines


def test_a_file_that_cannot_be_imported_counts_as_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest("from tests.kinds import pytest_terminal_summary")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("import no_such_module")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert "unit       1 error" in pytester.runpytest_subprocess().outlines
