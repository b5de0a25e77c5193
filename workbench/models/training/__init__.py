"""How the shipped model was made. Needs the extra [hf] (torch, transformers) for the training itself."""
