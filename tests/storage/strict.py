"""Every S3 store in one strict server, behind a proxy on loopback: any host name can be asked for, over real TLS.

The server verifies what is really sent: the host name under the store's wildcard certificate, the path, the
region that was signed for, the signature itself (Version 4, in the header or in the query, computed again with
botocore's signer), the digest of the body, and that no header goes along which some stores refuse.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .servers import KEY_ID, SECRET

_XML = '<?xml version="1.0"?>'


@dataclass(frozen=True)
class Rules:
    """How one store answers. Its certificate is valid for ``service``, its host, and for one name before that."""

    service: str
    bucket: str = "my-videos"
    region: str | None = None  # what must be signed for; None takes any
    prefix: str = ""  # path of the API
    path_style: str | None = "yes"  # the code of the refusal, None for one without a host name per bucket
    virtual_style: bool = True
    reads_host: bool = True  # whether a bucket in the host name is looked at
    elsewhere: str | None = None  # how a bucket of another host is answered
    signing_name: str = "s3"
    locked: bool = False


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    host: str
    path: str
    region: str
    headers: dict[str, str]
    presigned: bool
    status: int = 0


@dataclass
class Cloud:
    """The stores that answer, by service host, and what they were asked."""

    rules: dict[str, Rules] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    tls_failures: list[str] = field(default_factory=list)
    proxy: str = ""
    authority: Path = Path()

    def serve(self, *rules: Rules) -> None:
        """Answer like these stores from now on, with nothing stored."""
        self.rules = {rule.service: rule for rule in rules}
        self.seen.clear()
        self.tls_failures.clear()


def _certificate(
    subject: str, signer: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, ca: bool
) -> bytes:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("authority" if ca else "store"))
        .issuer_name(name("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName(subject), x509.DNSName(f"*.{subject}")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@contextmanager
def strict_cloud(folder: Path) -> Iterator[Cloud]:
    """A proxy behind which each host of ``Cloud.rules`` answers as that store does."""
    cloud = Cloud()
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    cloud.authority = folder / "authority.pem"
    cloud.authority.write_bytes(_certificate("authority", root, root, ca=True))
    key_file = folder / "key.pem"
    key_file.write_bytes(
        leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    contexts: dict[str, ssl.SSLContext] = {}
    lock = threading.Lock()

    def context_for(service: str) -> ssl.SSLContext:
        with lock:
            if service not in contexts:
                file = folder / f"{service}.pem"
                file.write_bytes(_certificate(service, root, leaf, ca=False))
                contexts[service] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                contexts[service].load_cert_chain(file, key_file)
            return contexts[service]

    objects: dict[tuple[str, str], tuple[bytes, dict[str, str]]] = {}
    uploads: dict[str, dict[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        origin = ""

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the cloud keeps what it saw."""

        def do_CONNECT(self) -> None:
            host, _, port = self.path.rpartition(":")
            rules = _rules_of(cloud, host)
            self.send_response(200 if rules else 502)
            self.end_headers()
            self.wfile.flush()
            self.close_connection = rules is None
            if rules is None:
                return
            try:
                self.connection = context_for(rules.service.partition(":")[0]).wrap_socket(
                    self.connection, server_side=True
                )
            except (OSError, ssl.SSLError):
                cloud.tls_failures.append(host)
                self.close_connection = True
                return
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.origin = f"https://{host}" + ("" if port == "443" else f":{port}")

        def answer(self) -> None:
            url = self.origin + self.path if self.origin else self.path
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, reply = _answer(
                cloud, objects, uploads, self.command, url, self.headers.items(), body
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and status != 204:
                self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    cloud.proxy = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()


def _rules_of(cloud: Cloud, host: str) -> Rules | None:
    """The store that ``host`` (with a port that is not the usual one) belongs to; the longest name wins."""
    for service in sorted(cloud.rules, key=len, reverse=True):
        bare = service.partition(":")[0]
        if host.partition(":")[0] == bare or host.partition(":")[0].endswith(f".{bare}"):
            return cloud.rules[service]
    return None


def _error(status: int, code: str, more: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = f"{_XML}<Error><Code>{code}</Code><Message>Server text</Message>{more}</Error>".encode()
    return status, {"Content-Type": "application/xml", **headers}, body


def _answer(
    cloud: Cloud,
    objects: dict[tuple[str, str], tuple[bytes, dict[str, str]]],
    uploads: dict[str, dict[int, bytes]],
    method: str,
    url: str,
    sent: list[tuple[str, str]],
    body: bytes,
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    headers = {name.lower(): value for name, value in sent}
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    presigned = "X-Amz-Signature" in query
    credential = query.get("X-Amz-Credential") or _credential(headers.get("authorization", ""))
    scope = credential.split("/")[-4:] if credential else ["", "", "", ""]
    seen = Seen(method, parts.netloc, unquote(parts.path), scope[1], headers, presigned)
    cloud.seen.append(seen)
    rules = _rules_of(cloud, parts.netloc)
    if rules is None:
        reply = _error(502, "NoSuchStore")
    else:
        reply = _refusal(rules, seen, method, url, scope, body) or _serve(
            rules, objects, uploads, method, parts.netloc, seen.path, query, headers, body
        )
    seen.status = reply[0]
    if method == "HEAD" and reply[0] >= 300:
        reply = (reply[0], reply[1], b"")
    return reply


def _credential(authorization: str) -> str:
    found = re.search(r"Credential=([^,]+)", authorization)
    return found.group(1) if found else ""


def _refusal(
    rules: Rules, seen: Seen, method: str, url: str, scope: list[str], body: bytes
) -> tuple[int, dict[str, str], bytes] | None:
    headers, anonymous = seen.headers, not any(scope)
    if headers["host"] != seen.host:
        return _error(400, "InvalidHost")
    for name in headers:
        if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer", "x-amz-decoded")):
            return _error(501, "NotImplemented")
    if (
        "aws-chunked" in headers.get("content-encoding", "")
        or "transfer-encoding" in headers
        or "expect" in headers
    ):
        return _error(501, "NotImplemented")
    virtual = seen.host != rules.service
    if virtual and not rules.virtual_style:
        return _error(400, "InvalidBucketName")
    if not virtual and rules.path_style != "yes":
        return _error(403, rules.path_style or "AccessDenied")
    if rules.elsewhere:
        code, _, place = rules.elsewhere.partition(" ")
        bucket_at = f"{rules.bucket}.{place}" if place else ""
        region = rules.region or ""
        if code == "TemporaryRedirect":
            location = f"https://{bucket_at}{urlsplit(url).path}?{urlsplit(url).query}"
            return _error(307, code, f"<Endpoint>{bucket_at}</Endpoint>", Location=location)
        if code == "PermanentRedirect":
            return _error(301, code, f"<Endpoint>{bucket_at}</Endpoint>", **{"x-amz-bucket-region": region})
        if code == "AccessDenied":
            return _error(403, code, f"<Endpoint>{place}</Endpoint>")
        return _error(400, code)
    if rules.region is not None and not anonymous and scope[1] != rules.region:
        code = "AuthorizationQueryParametersError" if seen.presigned else "AuthorizationHeaderMalformed"
        return _error(400, code, f"<Region>{rules.region}</Region>")
    if not anonymous:
        if scope[2] != rules.signing_name or not _signature_holds(method, url, headers, seen.presigned, scope):
            return _error(403, "SignatureDoesNotMatch")
        if not seen.presigned:
            digest = headers.get("x-amz-content-sha256")
            unsigned = digest == "UNSIGNED-PAYLOAD" and url.startswith("https:")
            if digest is None or not (unsigned or digest == hashlib.sha256(body).hexdigest()):
                return _error(400, "XAmzContentSHA256Mismatch")
    if rules.locked and method == "PUT" and "content-md5" not in headers:
        return (
            400,
            {},
            b"<Error><Code>InvalidRequest</Code><Message>Content-MD5 OR x-amz-checksum- HTTP header is required "
            b"for Put Object requests with Object Lock parameters</Message></Error>",
        )
    return None


def _signature_holds(method: str, url: str, headers: dict[str, str], presigned: bool, scope: list[str]) -> bool:
    """Sign the request again as it arrived, with botocore, and compare."""
    parts = urlsplit(url)
    if presigned:
        query = parse_qs(parts.query, keep_blank_values=True)
        names, given, date = (query[f"X-Amz-{name}"][0] for name in ("SignedHeaders", "Signature", "Date"))
        kept = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n != "X-Amz-Signature"]
        url = parts._replace(query=urlencode(kept, quote_via=quote)).geturl()
        auth: S3SigV4Auth | S3SigV4QueryAuth = S3SigV4QueryAuth(Credentials(KEY_ID, SECRET), scope[2], scope[1])
    else:
        found = re.search(r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$", headers["authorization"])
        if found is None:
            return False
        names, given, date = found.group(1), found.group(2), headers["x-amz-date"]
        auth = S3SigV4Auth(Credentials(KEY_ID, SECRET), scope[2], scope[1])
    signed = names.split(";")
    # Google's front end changes Accept-Encoding after it was signed; what is not signed can be changed by anyone.
    must = {name for name in headers if name.startswith("x-amz-") or name in ("content-md5", "content-type")}
    if "host" not in signed or "accept-encoding" in signed or (not presigned and not must <= set(signed)):
        return False
    request = AWSRequest(method, url, headers={name: headers[name] for name in signed})
    request.context["timestamp"] = date
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request) == given


def _serve(
    rules: Rules,
    objects: dict[tuple[str, str], tuple[bytes, dict[str, str]]],
    uploads: dict[str, dict[int, bytes]],
    method: str,
    host: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
) -> tuple[int, dict[str, str], bytes]:
    path = path.removeprefix(rules.prefix).lstrip("/")
    if host == rules.service or not rules.reads_host:
        bucket, _, key = path.partition("/")
        if not path and method in ("GET", "HEAD"):
            return (
                200,
                {},
                b"" if method == "HEAD" else b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
            )
    else:
        bucket, key = host.removesuffix(f".{rules.service}"), path
    if bucket != rules.bucket:
        return _error(404, "NoSuchBucket")
    if not key:
        listed = f"<ListBucketResult><Name>{bucket}</Name><KeyCount>0</KeyCount></ListBucketResult>"
        return 200, {"x-amz-bucket-region": rules.region or ""}, b"" if method == "HEAD" else listed.encode()
    place = (rules.service, key)
    if method == "POST" and "uploads" in query:
        uploads["u1"] = {}
        return 200, {}, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
    if method == "POST":
        content = b"".join(part for _, part in sorted(uploads["u1"].items()))
        md5s = b"".join(_md5(part).digest() for _, part in sorted(uploads["u1"].items()))
        etag = f'"{_md5(md5s).hexdigest()}-{len(uploads["u1"])}"'
        objects[place] = (content, {"ETag": etag})
        return (
            200,
            {},
            f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode(),
        )
    if method == "PUT" and "partNumber" in query:
        uploads["u1"][int(query["partNumber"])] = body
        return 200, {"ETag": f'"{_md5(body).hexdigest()}"'}, b""
    if method == "PUT":
        kept = {
            "Content-Type": headers.get("content-type", ""),
            "Cache-Control": headers.get("cache-control", ""),
        }
        objects[place] = (body, {**kept, "ETag": f'"{_md5(body).hexdigest()}"'})
        return 200, {"ETag": f'"{_md5(body).hexdigest()}"'}, b""
    if place not in objects:
        return (204, {}, b"") if method == "DELETE" else _error(404, "NoSuchKey")
    if method == "DELETE":
        del objects[place]
        return 204, {}, b""
    content, kept = objects[place]
    asked = {
        name.removeprefix("response-").title(): value
        for name, value in query.items()
        if name.startswith("response-")
    }
    answer = {**kept, **asked, "Access-Control-Allow-Origin": "*"}
    if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        answer["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return 206, answer, content[first : last + 1]
    if method == "HEAD":
        answer["Content-Length"] = str(len(content))
    return 200, answer, content


def _md5(content: bytes) -> hashlib._Hash:
    return hashlib.md5(content, usedforsecurity=False)
