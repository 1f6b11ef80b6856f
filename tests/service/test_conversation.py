"""A conversation becomes the text of one question."""

from collections.abc import Sequence

import pytest

from service.openai_api.chat_request import ChatMessage
from service.openai_api.conversation import Conversation, read_conversation, turns_that_fit


def messages(*said: tuple[str, str]) -> list[ChatMessage]:
    return [ChatMessage.model_validate({"role": role, "content": content}) for role, content in said]


def whole_text(said: Sequence[ChatMessage]) -> str:
    conversation = read_conversation(said)
    return conversation.text(len(conversation.turns))


def test_a_single_message_is_asked_as_it_stands() -> None:
    assert whole_text(messages(("user", " What is lit?\n"))) == " What is lit?\n"


def test_instructions_come_first_then_the_turns_with_their_roles_then_the_question() -> None:
    said = messages(
        ("system", "Be brief."),
        ("user", "What is lit?"),
        ("assistant", "The lamp."),
        ("developer", "No jokes."),
        ("user", "When?"),
    )
    assert whole_text(said) == "Be brief.\n\nNo jokes.\n\nUser: What is lit?\n\nAssistant: The lamp.\n\nWhen?"


def test_a_name_stands_in_place_of_the_role() -> None:
    named = ChatMessage(role="user", content="Who keeps it?", name="Ada")
    assert whole_text([named, *messages(("user", "And since when?"))]) == "Ada: Who keeps it?\n\nAnd since when?"


def test_parts_of_a_message_are_joined_by_lines() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "lit?"}]
    assert whole_text([ChatMessage.model_validate({"role": "user", "content": parts})]) == "What is\nlit?"


@pytest.mark.parametrize("room", range(60))
def test_the_latest_turns_are_kept_as_far_as_they_fit(room: int) -> None:
    turns = ["User: one two three", "Assistant: four", "User: five six", "Assistant: " + "seven " * 20]
    conversation = Conversation("Be brief.", turns, "And then?")

    def count_tokens(text: str) -> int:
        return len(text.split())

    kept = turns_that_fit(conversation, room, count_tokens)
    fitting = [number for number in range(5) if count_tokens(conversation.text(number)) <= room]
    assert kept == max(fitting, default=0)
    assert conversation.text(kept).startswith("Be brief.")
    assert conversation.text(kept).endswith("And then?")


def test_tokens_are_counted_a_few_times_however_long_the_conversation() -> None:
    counted = 0

    def count_tokens(text: str) -> int:
        nonlocal counted
        counted += 1
        return len(text)

    conversation = Conversation("", ["User: more"] * 2047, "And then?")
    assert turns_that_fit(conversation, 200, count_tokens) == 15
    assert counted <= 12
