"""The shapes of OpenAI's API over the same answers: chat, models, embeddings, and its form of errors."""
