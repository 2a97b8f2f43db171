"""Seconds until ``nlp-mixup --help`` has printed: the median over fresh processes. Target: under 0.5 s.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time


def main() -> None:
    times = []
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nlp_mixup", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    print(f"nlp-mixup --help: median {statistics.median(times):.2f} s, slowest {max(times):.2f} s of {len(times)}")


if __name__ == "__main__":
    main()
