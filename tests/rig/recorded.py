"""What a released version left on AWS: recorded once a release from the shipped stack `dev` on the rig.

`python -m tests.rig.recorded VERSION` deploys it with real servers, and writes the engine's state, the stack's file and
the backend's own documents (ledger, reports; no dumps) into tests/fixtures/VERSION/dev.tar.xz.
"""

from __future__ import annotations

import io
import lzma
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.naming import Naming
from tests.engine.recorded import FIXTURES
from tests.rig import contents
from tests.rig.aws.rig import AwsRig
from tests.rig.aws.scene import VERSION
from tests.rig.aws.stack import AwsStack
from tests.rig.clock import SERVERS
from tests.server.servers import install_package

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming as Names

STATE: Final = Path("state", ".pulumi", "stacks", "mlflow-backend", "dev.json")
STACK_FILE: Final = Path("project", "Pulumi.dev.yaml")
BUCKET: Final = Path("bucket")
_DUMPS: Final = "/dumps/"


def names(rig: AwsRig) -> Names:
    """Return the names of the stack on a rig."""
    return Naming(project="mlflow-backend", stack="dev", account=rig.account, region=rig.region)


def record(archive: Path) -> None:
    """Deploy with this tree, and pack what it leaves."""
    with tempfile.TemporaryDirectory(prefix="recorded-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        with AwsRig(folder / "rig", SERVERS) as rig:
            server = contents.mlflow(VERSION, install_package(folder / "package"), rig.authority)
            rig.images.publish(VERSION, server, labels=contents.labels(VERSION))
            stack = AwsStack(folder / "stack", rig)
            stack.must_up()
            files = {str(name): (stack.folder / name).read_bytes() for name in (STATE, STACK_FILE)}
            s3, bucket = rig.client("s3"), names(rig).bucket("data")
            for each in s3.list_objects_v2(Bucket=bucket, Prefix="_backend/")["Contents"]:
                if _DUMPS not in each["Key"]:
                    body = s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
                    files[str(BUCKET / each["Key"])] = body
            assert stack.destroy().ok
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def restore(archive: Path, folder: Path, rig: AwsRig) -> AwsStack:
    """Return a stack of today's program with the recorded state, and put the documents into the rig's bucket."""
    stack = AwsStack(folder, rig)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    stack.settings = stack.read_config()
    s3, bucket = rig.client("s3"), names(rig).bucket("data")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": rig.region})
    for path in (folder / BUCKET).rglob("*"):
        if path.is_file():
            s3.put_object(Bucket=bucket, Key=str(path.relative_to(folder / BUCKET)), Body=path.read_bytes())
    return stack


if __name__ == "__main__":
    record(FIXTURES / sys.argv[1] / "dev.tar.xz")
