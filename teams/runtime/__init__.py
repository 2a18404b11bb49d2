"""What every team stands on."""

import os

# The frameworks read these once, while they are imported, so they are set before any of them can be.
# CrewAI, LangSmith and OpenTelemetry would otherwise report runs to servers of their own.
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_DISABLE_TRACKING="true",
    CREWAI_TRACING_ENABLED="false",
    OTEL_SDK_DISABLED="true",
    LANGSMITH_TRACING="false",
    LANGCHAIN_TRACING_V2="false",
    ANONYMIZED_TELEMETRY="false",
)
