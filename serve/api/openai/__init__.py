"""OpenAI's completions and chat, in its own schema."""
