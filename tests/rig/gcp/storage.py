"""Cloud Storage: buckets, objects with generations and conditions, uploads of each kind, and who may touch what.

Objects are asked for with the caller's own rights, by the policy of the bucket; buckets are the administrator's.
"""

from __future__ import annotations

import base64
import email.parser
import functools
import hashlib
import importlib.util
import itertools
import json
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed, Media
from tests.rig.gcp.run.model import now
from tests.server.environments import python

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.gcp.discovery import Call, Directory
    from tests.rig.gcp.policies import Policies

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]")
_PAGE: Final = 1000
_CLIENT: Final = "3.17.2"


@dataclass(frozen=True, kw_only=True)
class Object:
    """One generation of an object."""

    content: bytes
    body: Mapping[str, Any]


@dataclass(eq=False, kw_only=True)
class Bucket:
    """One bucket. `old` are generations that were replaced or deleted, kept by versioning."""

    body: dict[str, Any]
    objects: dict[str, Object] = field(default_factory=dict)
    old: list[Object] = field(default_factory=list)


class Storage:
    """All buckets, by name."""

    def __init__(self, directory: Directory, policies: Policies, *, number: str) -> None:
        self._policies, self._number = policies, number
        self.buckets: dict[str, Bucket] = {}
        self._uploads: dict[str, tuple[Call, dict[str, Any], bytearray]] = {}
        self._generations = itertools.count(1_700_000_000_000_000)
        self._lock = threading.RLock()
        directory.handle(
            "storage.buckets",
            insert=self._make, get=self._show, patch=self._change, delete=self._remove,
            list=lambda _: {"items": [each.body for each in self.buckets.values()]},
            getIamPolicy=lambda call: policies.get(_resource(self._bucket(call["bucket"]).body["name"])),
            setIamPolicy=self._set_policy,
        )  # fmt: skip
        directory.handle(
            "storage.objects",
            insert=self._insert, get=self._get, list=self._list, delete=self._delete, rewrite=self._rewrite,
        )  # fmt: skip

    def _make(self, call: Call) -> dict[str, Any]:
        name = call.body.get("name", "")
        if not _NAME.fullmatch(name):
            raise Failed(400, f"Invalid bucket name: '{name}'")
        if not call.query.get("project"):
            raise Failed(400, "Required parameter: project")
        with self._lock:
            if name in self.buckets:
                raise Failed(409, "Your previous request to create the named bucket succeeded and you already own it.")
            stamps = {"timeCreated": now(), "projectNumber": self._number, "metageneration": "1", "id": name}
            known = {"kind": "storage#bucket", "location": "US", "storageClass": "STANDARD"}
            self.buckets[name] = Bucket(body={**known, **call.body, **stamps})
        return self._show_named(name)

    def _show(self, call: Call) -> dict[str, Any]:
        return self._show_named(call["bucket"])

    def _show_named(self, name: str) -> dict[str, Any]:
        body = self._bucket(name).body
        return {**body, "etag": f"CA{body['metageneration']}="}

    def _change(self, call: Call) -> dict[str, Any]:
        body = self._bucket(call["bucket"]).body
        if "location" in call.body and call.body["location"].upper() != body["location"].upper():
            raise Failed(400, "the location of a bucket cannot be changed")
        for name, value in call.body.items():
            # A patch: what is null is cleared, and maps are merged.
            if value is None:
                body.pop(name, None)
            elif name == "labels":
                merged = {**body.get(name, {}), **value}
                body[name] = {key: each for key, each in merged.items() if each is not None}
            else:
                body[name] = value
        body["metageneration"] = str(int(body["metageneration"]) + 1)
        return self._show_named(call["bucket"])

    def _remove(self, call: Call) -> Media:
        bucket = self._bucket(call["bucket"])
        if bucket.objects or bucket.old:
            raise Failed(409, "The bucket you tried to delete is not empty.", "CONFLICT")
        del self.buckets[call["bucket"]]
        self._policies.forget(_resource(call["bucket"]))
        return Media(content=b"", status=204)

    def _set_policy(self, call: Call) -> dict[str, Any]:
        self._bucket(call["bucket"])
        kept = {key: each for key, each in call.body.items() if key in {"bindings", "etag", "version"}}
        return self._policies.set(_resource(call["bucket"]), kept)

    def _insert(self, call: Call) -> Any:
        if "upload_id" in call.query:
            return self._go_on(call)
        match call.query.get("uploadType"):
            case "media":
                body = {"name": call.query.get("name"), "contentType": call.headers.get("Content-Type")}
                return self._store(call, body, call.body or b"")
            case "multipart":
                body, content = _parts(call)
                return self._store(call, {"name": call.query.get("name"), **body}, content)
            case "resumable":
                number = uuid.uuid4().hex
                body = {"name": call.query.get("name"), **json.loads(call.body or b"{}")}
                self._uploads[number] = (call, body, bytearray())
                at = f"https://storage.googleapis.com/upload/storage/v1/b/{call['bucket']}/o?uploadType=resumable"
                return Media(content=b"", headers={"Location": f"{at}&upload_id={number}"})
        raise Failed(400, f"uploadType {call.query.get('uploadType')} is none")

    def _go_on(self, call: Call) -> Any:
        if call.query["upload_id"] not in self._uploads:
            raise Failed(404, "there is no such upload")
        first, body, so_far = self._uploads[call.query["upload_id"]]
        asked = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", call.headers.get("Content-Range", "bytes 0-0/*"))
        if asked is None or (asked[1] and int(asked[1]) != len(so_far)):
            raise Failed(400, "this piece does not follow the one before")
        so_far.extend(call.body or b"")
        if "Content-Range" in call.headers and asked[2] != str(len(so_far)):
            sent = {"Range": f"bytes=0-{len(so_far) - 1}"} if so_far else {}
            return Media(content=b"", status=308, headers=sent)
        del self._uploads[call.query["upload_id"]]
        said = dict(each.partition("=")[::2] for each in call.headers.get("X-Goog-Hash", "").split(",") if each)
        sums = {{"md5": "md5Hash"}.get(key, key): each for key, each in said.items()}
        return self._store(first, {**body, **sums}, bytes(so_far))

    def _store(self, call: Call, body: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        name = body.get("name")
        if not name:
            raise Failed(400, "Required object name")
        # The sums are GCS's own, which clients compare.
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        sums = {"md5Hash": _encoded(digest), "crc32c": _encoded(_crc32c(content))}
        with self._lock:
            bucket = self._bucket(call["bucket"])
            known = bucket.objects.get(name)
            self._may(call, "storage.objects.create", name)
            if known is not None:
                # To replace an object is to delete the one that was there ('IAM permissions for Cloud Storage').
                self._may(call, "storage.objects.delete", name)
            _held(call.query, known)
            for key, value in sums.items():
                if body.get(key) not in (None, value):
                    raise Failed(400, f"Provided {key} does not match the content's.")
            if known is not None and bucket.body.get("versioning", {}).get("enabled"):
                bucket.old.append(known)
            kind = body.get("contentType") or "application/octet-stream"
            stored = {
                **{key: each for key, each in body.items() if each is not None}, **sums, "kind": "storage#object",
                "bucket": call["bucket"], "size": str(len(content)), "generation": str(next(self._generations)),
                "metageneration": "1", "timeCreated": now(), "updated": now(), "contentType": kind,
                "storageClass": "STANDARD",
            }  # fmt: skip
            stored["etag"] = _encoded(stored["generation"].encode())
            bucket.objects[name] = Object(content=content, body=stored)
            return dict(stored)

    def _get(self, call: Call) -> Any:
        found = self._found(call, "storage.objects.get")
        if call.query.get("alt") != "media":
            return dict(found.body)
        sums = f"crc32c={found.body['crc32c']},md5={found.body['md5Hash']}"
        headers = {
            "Content_Type": found.body["contentType"], "X_Goog_Hash": sums, "Etag": found.body["etag"],
            "X_Goog_Generation": found.body["generation"], "X_Goog_Stored_Content_Length": found.body["size"],
        }  # fmt: skip
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", ""))
        if asked is None:
            return Media(content=found.content, headers=headers)
        size, begin = len(found.content), int(asked[1])
        end = min(int(asked[2] or size - 1), size - 1)
        if begin >= size:
            raise Failed(416, "Request range not satisfiable", "OUT_OF_RANGE")
        headers["Content_Range"] = f"bytes {begin}-{end}/{size}"
        return Media(content=found.content[begin : end + 1], status=206, headers=headers)

    def _list(self, call: Call) -> dict[str, Any]:
        prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
        bucket = self._bucket(call["bucket"])
        asked = {"storage.googleapis.com/objectListPrefix": prefix}
        if not self._policies.allows(
            call.caller, "storage.objects.list", _resource(call["bucket"]),
            name=f"projects/_/buckets/{call['bucket']}", attributes=asked,
        ):  # fmt: skip
            raise _denied(call, "storage.objects.list")
        everything = list(bucket.objects.items())
        if call.query.get("versions"):
            everything += [(each.body["name"], each) for each in bucket.old]
        found: dict[str, Any] = {}
        for name, each in sorted(everything, key=lambda pair: pair[0]):
            rest = name.removeprefix(prefix)
            if not name.startswith(prefix):
                continue
            folder = f"{prefix}{rest.partition(delimiter)[0]}{delimiter}" if delimiter and delimiter in rest else ""
            found[folder or f"{name}#{each.body['generation']}"] = folder or dict(each.body)
        keys = sorted(found)
        begin, most = call.query.get("pageToken", ""), call.query.get("maxResults") or _PAGE
        page = [key for key in keys if key > begin]
        more = {"nextPageToken": page[most - 1]} if len(page) > most else {}
        shown = [found[key] for key in page[:most]]
        prefixes = [each for each in shown if isinstance(each, str)]
        items = [each for each in shown if not isinstance(each, str)]
        return {"kind": "storage#objects", **more, **({"prefixes": prefixes} if prefixes else {}), "items": items}

    def _delete(self, call: Call) -> Media:
        with self._lock:
            found, bucket = self._found(call, "storage.objects.delete"), self._bucket(call["bucket"])
            if found in bucket.old:
                bucket.old.remove(found)
            else:
                del bucket.objects[call["object"]]
                if bucket.body.get("versioning", {}).get("enabled") and not call.query.get("generation"):
                    bucket.old.append(found)
        return Media(content=b"", status=204)

    def _rewrite(self, call: Call) -> dict[str, Any]:
        source = {"bucket": call["sourceBucket"], "object": call["sourceObject"]}
        found = self._found(type(call)(**{**vars(call), "path": source, "query": {}}), "storage.objects.get")
        into = type(call)(**{**vars(call), "path": {"bucket": call["destinationBucket"]}})
        body = {"contentType": found.body["contentType"], **(call.body or {}), "name": call["destinationObject"]}
        stored = self._store(into, body, found.content)
        size = stored["size"]
        return {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size,
                "resource": stored}  # fmt: skip

    def _found(self, call: Call, permission: str) -> Object:
        bucket, name = self._bucket(call["bucket"]), call["object"]
        self._may(call, permission, name)
        found, generation = bucket.objects.get(name), call.query.get("generation")
        if generation is not None:
            every = [*bucket.old, *([found] if found else [])]
            of_name = [each for each in every if each.body["name"] == name]
            found = next((each for each in of_name if each.body["generation"] == str(generation)), None)
        if found is None:
            raise Failed(404, f"No such object: {call['bucket']}/{name}")
        _held(call.query, found)
        return found

    def _may(self, call: Call, permission: str, name: str) -> None:
        full = f"projects/_/buckets/{call['bucket']}/objects/{name}"
        if not self._policies.allows(call.caller, permission, _resource(call["bucket"]), name=full):
            raise _denied(call, permission)

    def _bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise Failed(404, "The specified bucket does not exist.")
        return self.buckets[name]


def _denied(call: Call, permission: str) -> Failed:
    return Failed(403, f"{call.caller} does not have {permission} access to the Google Cloud Storage object.")


def _held(query: Mapping[str, Any], known: Object | None) -> None:
    """Raise Failed unless the conditions of a request hold. Generation 0 is of an object that is not there."""
    generation = known.body["generation"] if known else "0"
    if "ifGenerationMatch" in query and str(query["ifGenerationMatch"]) != generation:
        raise Failed(412, "At least one of the pre-conditions you specified did not hold.")
    if "ifGenerationNotMatch" in query and str(query["ifGenerationNotMatch"]) == generation:
        raise Failed(412, "At least one of the pre-conditions you specified did not hold.")
    for name in ("ifMetagenerationMatch", "ifMetagenerationNotMatch"):
        if name in query:
            raise Failed(501, f"the rig does not do {name} yet")


def _parts(call: Call) -> tuple[dict[str, Any], bytes]:
    """Return the two parts of a multipart upload: what is said of the object, and its content."""
    kind = email.parser.HeaderParser().parsestr(f"Content-Type: {call.headers.get('Content-Type', '')}\n")
    boundary = str(kind.get_param("boundary", "")).encode()
    pieces = call.body.split(b"--" + boundary)
    if not boundary or len(pieces) != 4:
        raise Failed(400, "a multipart upload has two parts")
    body, content = (piece.removeprefix(b"\r\n").partition(b"\r\n\r\n") for piece in pieces[1:3])
    said: dict[str, Any] = json.loads(body[2])
    media = email.parser.HeaderParser().parsestr(content[0].decode())
    return {"contentType": media.get("Content-Type"), **said}, content[2].removesuffix(b"\r\n")


def _resource(bucket: str) -> str:
    return f"projects/_/buckets/{bucket}"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@functools.cache
def _summing() -> Any:
    """Return Google's own CRC32C, of which the servers' environment has a build and this project's has none."""
    packages = next(python(_CLIENT).parent.parent.glob("lib/python*/site-packages"))
    (built,) = (packages / "google_crc32c").glob("_crc32c.*.so")
    spec = importlib.util.spec_from_file_location("google_crc32c._crc32c", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _crc32c(content: bytes) -> bytes:
    """Return CRC32C (RFC 3720), which clients compare."""
    found: int = _summing().value(content)
    return found.to_bytes(4, "big")
