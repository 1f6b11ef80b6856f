"""A conversation as the text of one question, which is what Gen reads.

Instructions (roles `system` and `developer`) come first, then the earlier turns, then the question, a blank line
between them. A turn begins with its role or the name of who said it; the question stands as it is, so that a
conversation of one message is asked exactly as `POST /generate` asks it:

    Answer in one sentence.

    User: What does json.dumps do?

    Assistant: It serializes obj to a JSON formatted str.

    And json.loads?

All of it is plain text of the prompt. A message may imitate another turn, as it may everywhere where a model reads
text, but never becomes a control token.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.openai_api.chat_request import ChatMessage, is_turn


@dataclass(frozen=True)
class Conversation:
    """What was said.

    instructions: what the model was told about the conversation; may be empty.
    turns: what was said before the question, oldest first, each with who said it.
    question: the last message.
    """

    instructions: str
    turns: Sequence[str]
    question: str

    def text(self, kept: int) -> str:
        """The text that Gen is asked, with the last `kept` turns."""
        turns = self.turns[len(self.turns) - kept :]
        return "\n\n".join(part for part in (self.instructions, *turns, self.question) if part)


def read_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """The conversation of messages whose last turn is the user's."""
    *earlier, question = [message for message in messages if is_turn(message)]
    return Conversation(
        instructions="\n\n".join(message.content for message in messages if not is_turn(message)),
        turns=[f"{message.name or message.role.capitalize()}: {message.content}" for message in earlier],
        question=question.content,
    )


def turns_that_fit(conversation: Conversation, room: int, count_tokens: Callable[[str], int]) -> int:
    """How many of the latest turns fit `room` tokens together with instructions and question.

    Args:
        conversation: What was said.
        room: Tokens that its text may have.
        count_tokens: The tokens of a text; called a number of times that grows with the logarithm of the turns.
    """

    def tokens(kept: int) -> int:
        return count_tokens(conversation.text(kept))

    return max(bisect_right(range(len(conversation.turns) + 1), room, key=tokens) - 1, 0)
