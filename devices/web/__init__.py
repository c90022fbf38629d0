"""What devices that are asked over HTTP have in common: documents, refusals, databases, the site itself."""
