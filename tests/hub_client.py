"""A process that has huggingface_hub look at another server, which it only does at import; fed with code line by line.

Each line of its standard input is JSON: {"code": ..., "env": {...}}. The code runs with its own names kept between lines;
the answer is one JSON line: {"result": ..., "status": exit status or null, "error": traceback or null, "out", "err"}.
"""

import contextlib
import io
import json
import os
import sys
import traceback


def main():
    answers, names = sys.stdout, {}
    for line in sys.stdin:
        request = json.loads(line)
        saved = dict(os.environ)
        for name, value in request["env"].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        names["result"], status, error = None, None, None
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                exec(request["code"], names)
            except SystemExit as stop:
                status = stop.code
            except BaseException:
                error = traceback.format_exc()
        os.environ.clear()
        os.environ.update(saved)
        answer = {
            "result": names["result"],
            "status": status,
            "error": error,
            "out": out.getvalue(),
            "err": err.getvalue(),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
