"""How far a model's distribution is from the unquantised one: perplexity, KL divergence, top-1 agreement."""
