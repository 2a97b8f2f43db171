"""The shipped recipes: YAML files that ``nlp-mixup train NAME`` and ``nlp-mixup compare NAME`` find by name."""
