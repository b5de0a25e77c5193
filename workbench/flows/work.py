"""Engine time that one more token of each kind takes at a day's usual batch: the weights that split a bill."""

from workbench.economics.token_split import TokenWork
from workbench.flows.load_levels import Day
from workbench.profile.batch import Batch

PIECE_TOK, PAST_TOK = 256, 1024  # of the prompt whose cost is looked at


def token_work(day: Day) -> TokenWork:
    """In seconds a token: of a prompt beside the running decodes, of a prompt's cached part, of an answer."""
    running = sum(one.trial.running_mean for one in day.levels) / len(day.levels)
    decodes, context = max(1, round(running)), round(day.load.prompt_tok_mean + day.load.output_tok_mean / 2)

    def seconds(*prefills: tuple[int, int]) -> float:
        return day.profile.iteration_ns(Batch(prefills, decodes, decodes * context, context, context)) / 1e9

    alone, fresh = seconds(), seconds((PIECE_TOK, 0))
    after = seconds((PIECE_TOK, PAST_TOK))
    return TokenWork(max(0.0, fresh - alone) / PIECE_TOK, max(0.0, after - fresh) / PAST_TOK, alone / decodes)
