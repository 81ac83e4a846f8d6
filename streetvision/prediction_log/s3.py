"""An S3 bucket, Amazon's or a compatible one, as the destination of an export. Needs the extra `s3` (boto3)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streetvision.errors import ConfigError, OperatorError

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 3

_DENIED = ("AccessDenied", "403", "AllAccessDisabled", "AccountProblem")
_BAD_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthFailure")


class S3Destination:
    """Objects under a prefix; an object appears when its upload is complete, so none is ever half there."""

    parallel = 16

    def __init__(self, bucket: str, prefix: str, *, endpoint_url: str | None = None) -> None:
        """Open a client and ask for the bucket, so that a mistake shows before any work; raises OperatorError.

        `endpoint_url` None takes AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or else what boto3 is configured for.
        """
        if not bucket:
            raise ConfigError("an S3 address names a bucket: s3://bucket/prefix")
        _require_boto3()
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._endpoint = endpoint_url or next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
        with self._sentences():
            self._client = _client(self._endpoint, self.parallel)
            self._client.list_objects_v2(Bucket=bucket, Prefix=self._prefix, MaxKeys=1)
        self._scratch = tempfile.TemporaryDirectory(prefix="streetvision-export-")

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, name: str) -> bytes | None:
        """See `Destination`."""
        with self._sentences():
            try:
                body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
            return body

    def sizes(self, folder: str) -> Mapping[str, int]:
        """See `Destination`."""
        with self._sentences():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            objects = (item for page in pages for item in page.get("Contents", ()))
            return {item["Key"].removeprefix(self._prefix): int(item["Size"]) for item in objects}

    def facts(self, name: str) -> tuple[int, str]:
        """Size in bytes and ETag of one object; raises OperatorError where it is not there."""
        with self._sentences():
            try:
                head = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except self._client.exceptions.ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey"):
                    raise OperatorError(f"there is no object {name} in {self}: check its name") from error
                raise
        return int(head["ContentLength"]), str(head["ETag"])

    def listed(self, prefix: str) -> Mapping[str, tuple[int, str]]:
        """Size and ETag of every object whose name begins so."""
        with self._sentences():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            objects = [item for page in pages for item in page.get("Contents", ())]
        return {item["Key"].removeprefix(self._prefix): (int(item["Size"]), item["ETag"]) for item in objects}

    def fetch(self, name: str, path: Path) -> None:
        """Copy an object, of any size, to a file."""
        with self._sentences():
            self._client.download_file(self._bucket, self._prefix + name, str(path))

    def put(self, name: str, data: bytes) -> None:
        """See `Destination`."""
        with self._sentences():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=data)

    def put_file(self, name: str, path: Path) -> None:
        """See `Destination`. Large files go in parts; the object appears with the last."""
        with self._sentences():
            self._client.upload_file(str(path), self._bucket, self._prefix + name)
        path.unlink()

    def delete(self, name: str) -> None:
        """See `Destination`."""
        with self._sentences():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def scratch(self, name: str) -> Path:
        """See `Destination`: a folder for temporary files on this machine."""
        return Path(self._scratch.name) / name.replace("/", "_")

    def close(self) -> None:
        """See `Destination`."""
        self._client.close()
        self._scratch.cleanup()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what boto3 raises into a sentence about this bucket."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except Boto3Error as error:  # upload_file wraps the service's answer
            cause = error.__cause__ or error.__context__ or error
            raise OperatorError(self._describe(cause)) from error
        except (BotoCoreError, ClientError) as error:
            raise OperatorError(self._describe(error)) from error

    def _describe(self, error: BaseException) -> str:
        from botocore import exceptions as boto

        if isinstance(error, boto.ClientError):
            return self._describe_answer(str(error.response.get("Error", {}).get("Code", "")), error)
        if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
            return (
                f"there are no usable credentials for {self}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE"
            )
        if isinstance(error, (boto.ConnectionError, boto.HTTPClientError)):
            return (
                f"{self._endpoint or 'the S3 service'} does not answer: check the network and the endpoint "
                "(--endpoint_url or AWS_ENDPOINT_URL)"
            )
        return f"cannot use {self}: {_first_line(error)}"

    def _describe_answer(self, code: str, error: BaseException) -> str:
        if code == "NoSuchBucket":
            return f"there is no bucket {self._bucket}: create it or name another"
        if code in _BAD_KEYS:
            return f"the credentials for {self} are refused ({code}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        if code in _DENIED:
            return f"access to {self} is denied: the credentials need s3:ListBucket, s3:GetObject and s3:PutObject"
        if code in {"PermanentRedirect", "301", "AuthorizationHeaderMalformed"}:
            return f"the bucket {self._bucket} is in another region: set AWS_REGION to its own"
        return f"{self} answered with an error: {_first_line(error)}"


def _require_boto3() -> None:
    try:
        import boto3  # noqa: F401 - whether it is there
    except ImportError:
        raise OperatorError(
            "an s3:// address needs boto3, which is not installed: pip install 'streetvision[s3]'"
        ) from None


def _client(endpoint: str | None, connections: int) -> Any:  # noqa: ANN401 - boto3 makes its classes as it runs
    import boto3
    from botocore.config import Config

    options: dict[str, Any] = {}
    if endpoint:  # compatible servers want the bucket in the path, and not all of them know the newer checksums
        options = {
            "s3": {"addressing_style": "path"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=connections,
        **options,
    )
    try:
        return boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
    except ValueError as error:
        raise ConfigError(f"the endpoint {endpoint} is no address such as http://127.0.0.1:9000 ({error})") from None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
