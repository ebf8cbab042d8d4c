"""Tell whether a change to how LLM calls are routed may be merged."""
