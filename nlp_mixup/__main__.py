"""``python -m nlp_mixup`` is ``nlp-mixup``; ``accelerate launch -m nlp_mixup`` runs it on several processes."""

from nlp_mixup.cli import main

if __name__ == "__main__":
    main()
