"""`platform`: an industrial internet platform on the plant network."""
