"""The nouns of a plant: frozen, validated, without I/O."""
