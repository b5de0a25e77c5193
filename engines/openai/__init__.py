"""Any running OpenAI-compatible endpoint, by URL and key: nothing is launched, nothing is stopped."""

from engines.common import COMMON, refuses
from engines.openai.options import OpenAiOptions
from engines.record import Engine

ENGINE = Engine(
    name="openai", title="any OpenAI-compatible endpoint", place="endpoint", get="nothing to install; give its URL",
    options=OpenAiOptions, needs_model=False, health_path="/v1/models",
    common=refuses(**dict.fromkeys(COMMON, "it runs already; start it so and the answer is null here")),
    tested="run here",
)
