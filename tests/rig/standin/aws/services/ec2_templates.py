"""Launch templates, of which a change is another version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.standin.aws.account import Account

_DATA: Final = "LaunchTemplateVersions[0].LaunchTemplateData"
_TAKES: Final = "metadataOptions blockDeviceMappings tagSpecifications updateDefaultVersion"


def _devices(wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return block devices with the SDK's texts as the booleans that they are."""
    found = []
    for each in wanted:
        disk = each["ebs"]
        texts = {name: disk[name] == "true" for name in ("encrypted", "deleteOnTermination") if name in disk}
        ebs = {name[0].upper() + name[1:]: value for name, value in {**disk, **texts}.items()}
        found.append({"DeviceName": each["deviceName"], "Ebs": ebs})
    return found


def _data(wanted: Mapping[str, Any]) -> dict[str, Any]:
    options = {name[0].upper() + name[1:]: value for name, value in wanted["metadataOptions"].items()}
    tags = [
        {
            "ResourceType": each["resourceType"],
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(each["tags"].items())],
        }
        for each in wanted["tagSpecifications"]
    ]
    devices = _devices(wanted["blockDeviceMappings"])
    return {"MetadataOptions": options, "BlockDeviceMappings": devices, "TagSpecifications": tags}


def _another(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    subject = {"LaunchTemplateId": is_["id"]}
    made = account.call("ec2", "create_launch_template_version", {**subject, "LaunchTemplateData": _data(wanted)})
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    if wanted.get("updateDefaultVersion"):
        account.call("ec2", "modify_launch_template", {**subject, "DefaultVersion": number})


RESOURCES: Final = (
    Translation(
        token="aws:ec2/launchTemplate:LaunchTemplate",
        service="ec2",
        id="answer:LaunchTemplate.LaunchTemplateId",
        create=Operation(
            call="create_launch_template",
            takes=f"name {_TAKES}",
            keys={"LaunchTemplateName": "{name}"},
            build=lambda wanted: {"LaunchTemplateData": _data(wanted)},
        ),
        read=Operation(
            call="describe_launch_templates", keys={"LaunchTemplateIds": ["{id}"]}, answer="LaunchTemplates[0]"
        ),
        more=(
            Operation(
                call="describe_launch_template_versions",
                keys={"LaunchTemplateId": "{id}", "Versions": ["$Latest"]},
                gives={
                    "metadataOptions": f"{_DATA}.MetadataOptions",
                    "blockDeviceMappings": f"{_DATA}.BlockDeviceMappings",
                },
            ),
        ),
        updates=(Step(takes=_TAKES, run=_another),),
        delete=Operation(call="delete_launch_template", keys={"LaunchTemplateId": "{id}"}),
        names={"name": "LaunchTemplateName", "defaultVersion": "DefaultVersionNumber",
               "latestVersion": "LatestVersionNumber"},
        computed={"arn": "arn:{partition}:ec2:{region}:{account}:launch-template/{id}"},
        # A map in the SDK, and a list in the API.
        unread=frozenset({"tagSpecifications"}),
        kept=frozenset({"updateDefaultVersion"}),
        named="name",
    ),
)  # fmt: skip
