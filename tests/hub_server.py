"""The part of the Hub's HTTP that pushing and loading need, on loopback and in memory, with faults on request.

python tests/hub_server.py TOKEN     prints its port, serves until its standard input closes

A test sets faults by ``POST /_faults`` with a list of {"method", "path" (a regular expression), "times", "do"}: a status
code, "drop" (close the connection after half of the body) or "slow" (wait two seconds). ``GET /_state`` gives
repositories, branches, files and every request; ``POST /_reset`` forgets everything.
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

LFS_SUFFIXES = (".safetensors", ".png", ".bin")
REPO = r"(?P<repo>(?:spaces/|datasets/)?[\w.-]+/[\w.-]+)"


class Hub:
    """Repositories in memory: name -> commits, branches; a commit is {path: bytes}."""

    def __init__(self, token):
        self.token = token
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.repos, self.objects, self.faults, self.requests = {}, {}, [], []

    def fault(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault["times"] > 0 and fault["method"] == method and re.search(fault["path"], path):
                    fault["times"] -= 1
                    return fault["do"]
        return None

    def commit_of(self, repo, revision):
        found = self.repos[repo]
        commit = found["branches"].get(revision, revision)
        return commit if commit in found["commits"] else None

    def add_commit(self, repo, branch, files):
        digest = hashlib.sha1(repr((repo, branch, len(self.requests), sorted(files))).encode()).hexdigest()
        found = self.repos[repo]
        found["commits"][digest] = files
        found["branches"][branch] = digest
        return digest


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", content_type="application/json", **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def error(self, status, code, message):
        self.reply(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def body(self, half=False):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length // 2 if half else length)

    def handle_request(self):
        path = unquote(urlparse(self.path).path)
        if path.startswith("/_"):
            return self.control(path)
        do = self.hub.fault(self.command, path)
        if do == "drop":
            self.body(half=True)
            self.close_connection = True
            self.connection.close()
            return None
        if do == "slow":
            time.sleep(2)
        content = self.body()
        record = {"method": self.command, "path": path, "authorised": "Authorization" in self.headers}
        other = {name: value for name, value in self.headers.items() if name.lower() != "authorization"}
        token = self.hub.token.encode()
        record["leak"] = token in content or token in repr(other).encode() or self.hub.token in self.path
        with self.hub.lock:
            self.hub.requests.append(record)
        if isinstance(do, int):
            return self.error(do, "Injected", f"status {do} on request")
        writes = self.command in ("POST", "PUT") and path != "/api/validate-yaml" and not path.startswith("/lfs/")
        if writes and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.error(401, "Unauthorized", "Invalid credentials in Authorization header")
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                with self.hub.lock:
                    return getattr(self, action)(content, **match.groupdict())
        return self.error(404, "RepoNotFound", f"no route for {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def control(self, path):
        content = self.body()
        if path == "/_reset":
            self.hub.reset()
        elif path == "/_faults":
            self.hub.faults = json.loads(content)
        repos = {
            name: {
                "private": repo["private"],
                "branches": {
                    branch: {path: base64.b64encode(data).decode() for path, data in repo["commits"][commit].items()}
                    for branch, commit in repo["branches"].items()
                },
            }
            for name, repo in self.hub.repos.items()
        }
        self.reply(200, {"repos": repos, "requests": self.hub.requests})

    def create(self, content):
        wanted = json.loads(content)
        prefix = {"space": "spaces/", "dataset": "datasets/"}.get(wanted.get("type"), "")
        owner = wanted.get("organization") or "me"
        name = wanted["name"] if "/" in wanted["name"] else f"{owner}/{wanted['name']}"
        answer = {"url": f"http://{self.headers['Host']}/{prefix}{name}", "name": name, "id": name}
        if prefix + name in self.hub.repos:
            return self.reply(409, {"error": "You already created this repo", **answer})
        self.hub.repos[prefix + name] = {
            "private": wanted.get("visibility") == "private" or wanted.get("private") is True,  # hub 1 says the latter
            "branches": {},
            "commits": {},
        }
        self.hub.add_commit(prefix + name, "main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.reply(200, answer)

    def known(self, repo, revision="main"):
        if repo not in self.hub.repos:
            self.error(404, "RepoNotFound", f"Repository not found: {repo}")
            return None
        commit = self.hub.commit_of(repo, revision)
        if commit is None:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def validate(self, content):
        import yaml

        match = re.match(r"---\n(.*?)\n---\n", json.loads(content)["content"], re.DOTALL)
        try:
            data = yaml.safe_load(match.group(1)) if match else {}
        except yaml.YAMLError as error:
            return self.reply(400, {"errors": [{"message": str(error)}], "warnings": []})
        if not isinstance(data, dict):
            return self.reply(400, {"errors": [{"message": "metadata must be a mapping"}], "warnings": []})
        return self.reply(200, {"errors": [], "warnings": []})

    def branch(self, content, repo, revision):
        repo = plain(repo)
        if repo not in self.hub.repos:
            return self.error(404, "RepoNotFound", f"Repository not found: {repo}")
        if revision in self.hub.repos[repo]["branches"]:
            return self.reply(409, {"error": "Reference already exists"})
        self.hub.add_commit(repo, revision, dict(self.hub.repos[repo]["commits"][self.hub.commit_of(repo, "main")]))
        return self.reply(200, {})

    def preupload(self, content, repo, revision):
        if self.known(plain(repo), revision) is None:
            return
        files = [
            {"path": file["path"], "uploadMode": mode(file["path"]), "shouldIgnore": False, "oid": None}
            for file in json.loads(content)["files"]
        ]
        self.reply(200, {"files": files})

    def batch(self, content, repo):
        objects = []
        for wanted in json.loads(content)["objects"]:
            href = f"http://{self.headers['Host']}/lfs/{wanted['oid']}"
            have = wanted["oid"] in self.hub.objects
            objects.append(wanted if have else {**wanted, "actions": {"upload": {"href": href}}})
        self.reply(200, {"transfer": "basic", "objects": objects}, content_type="application/vnd.git-lfs+json")

    def put(self, content, oid):
        if hashlib.sha256(content).hexdigest() != oid:
            return self.error(400, "BadDigest", "the body is not what was announced")
        self.hub.objects[oid] = content
        return self.reply(200)

    def commit(self, content, repo, revision):
        repo = plain(repo)
        commit = self.known(repo, revision)
        if commit is None:
            return
        files = dict(self.hub.repos[repo]["commits"][commit])
        for line in content.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "lfsFile":
                files[entry["value"]["path"]] = self.hub.objects[entry["value"]["oid"]]
        digest = self.hub.add_commit(repo, revision, files)
        url = f"http://{self.headers['Host']}/{repo}/commit/{digest}"
        self.reply(200, {"success": True, "commitOid": digest, "commitUrl": url})

    def info(self, content, repo, revision="main"):
        repo = plain(repo)
        commit = self.known(repo, revision)
        if commit is None:
            return
        files = self.hub.repos[repo]["commits"][commit]
        private = self.hub.repos[repo]["private"]
        name = repo.split("/", 1)[1] if repo.startswith(("spaces/", "datasets/")) else repo
        self.reply(
            200,
            {
                "id": name, "modelId": name, "sha": commit, "private": private, "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(files)],
            },
        )  # fmt: skip

    def tree(self, content, repo, revision):
        repo = plain(repo)
        commit = self.known(repo, revision)
        if commit is None:
            return
        entries = []
        for path, data in sorted(self.hub.repos[repo]["commits"][commit].items()):
            entry = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            if mode(path) == "lfs":
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
            entries.append(entry)
        self.reply(200, entries)

    def resolve(self, content, repo, revision, path):
        commit = self.known(repo, revision)
        if commit is None:
            return
        files = self.hub.repos[repo]["commits"][commit]
        if path not in files:
            self.reply(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
            return
        data = files[path]
        self.reply(
            200,
            data,
            content_type="application/octet-stream",
            X_Repo_Commit=commit,
            ETag=f'"{hashlib.sha256(data).hexdigest()}"',
        )


def plain(repo):
    """``models/me/x`` of the API is the repository ``me/x``; Spaces keep their prefix."""
    return repo.removeprefix("models/")


def mode(path):
    return "lfs" if path.endswith(LFS_SUFFIXES) else "regular"


API_REPO = r"(?P<repo>(?:models|spaces|datasets)/[\w.-]+/[\w.-]+)"
ROUTES = [
    (("POST",), r"/api/repos/create", "create"),
    (("POST",), r"/api/validate-yaml", "validate"),
    (("POST",), rf"/api/{API_REPO}/branch/(?P<revision>.+)", "branch"),
    (("POST",), rf"/api/{API_REPO}/preupload/(?P<revision>.+)", "preupload"),
    (("POST",), rf"/{REPO}\.git/info/lfs/objects/batch", "batch"),
    (("PUT",), r"/lfs/(?P<oid>[0-9a-f]{64})", "put"),
    (("POST",), rf"/api/{API_REPO}/commit/(?P<revision>.+)", "commit"),
    (("GET",), rf"/api/{API_REPO}/tree/(?P<revision>[^/]+)(?:/.*)?", "tree"),
    (("GET",), rf"/api/{API_REPO}/revision/(?P<revision>.+)", "info"),
    (("GET",), rf"/api/{API_REPO}", "info"),
    (("GET", "HEAD"), rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
]


def main():
    Handler.hub = Hub(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
