"""Templates as the AWS CDK writes them."""

from __future__ import annotations

from typing import Any

from samovar.sam.cdk import without_toolkit
from samovar.sam.document import parse

SYNTHESISED = """
Parameters:
  BootstrapVersion: {Type: AWS::SSM::Parameter::Value<String>, Default: /cdk-bootstrap/hnb659fds/version}
  Stage: {Type: String, Default: dev}
Rules:
  CheckBootstrapVersion: {Assertions: [{AssertDescription: run cdk bootstrap}]}
Resources:
  Tea:
    Type: AWS::Lambda::Function
    Properties: {Code: {S3Bucket: cdk-assets, S3Key: 6ceb.zip}, Handler: index.handler}
    Metadata: {"aws:cdk:path": Stack/Tea/Resource, "aws:asset:path": asset.6ceb, "aws:asset:property": Code}
  Image:
    Type: AWS::Lambda::Function
    Properties: {Code: {ImageUri: tea}}
    Metadata: {"aws:asset:path": asset.1234, "aws:asset:property": Code.ImageUri}
  CDKMetadata: {Type: AWS::CDK::Metadata, Properties: {Analytics: v2}}
"""


def plain(text: str) -> Any:
    return without_toolkit(parse(text, "t.yaml")).plain()


def test_what_checks_the_account_and_counts_constructs_is_left_out() -> None:
    found = plain(SYNTHESISED)
    assert set(found) == {"Parameters", "Resources"}
    assert set(found["Parameters"]) == {"Stage"}
    assert set(found["Resources"]) == {"Tea", "Image"}


def test_code_is_the_asset_beside_the_template() -> None:
    resources = plain(SYNTHESISED)["Resources"]
    assert resources["Tea"]["Properties"] == {"Code": "asset.6ceb", "Handler": "index.handler"}
    assert resources["Image"]["Properties"] == {"Code": {"ImageUri": "tea"}}


def test_rules_and_parameters_of_an_apps_own_stay_to_be_refused() -> None:
    own = """
    Parameters: {BootstrapVersion: {Type: String, Default: "7"}, Key: {Type: AWS::SSM::Parameter::Value<String>}}
    Rules: {Mine: {Assertions: []}}
    Resources: {}
    """
    found = plain(own)
    assert set(found["Parameters"]) == {"BootstrapVersion", "Key"}
    assert set(found["Rules"]) == {"Mine"}
