
mod reference_config; // configs/reference.toml names every key of the code, and nothing else
