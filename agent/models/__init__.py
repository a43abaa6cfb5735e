"""Model clients: OpenAI-compatible servers, Kimi K2 Thinking on SGLang first."""
