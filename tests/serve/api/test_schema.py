"""/openapi.json, the responses and the client's records have exactly the fields of the records."""

import json
from copy import deepcopy
from dataclasses import asdict, fields

from jsonschema import Draft202012Validator

from copylens.client.records import Registry, ServedVerdict, parse
from copylens.evidence.index import Citation
from copylens.generation.flags import Block, Flag
from copylens.records import ModelIdentity, Rights, Share, TimelineItem, Verdict
from serve.api.policy import Ruling
from serve.api.schema import AttributeRequest
from serve.api.schema_examples import REGISTRY, VERDICT
from tests.serve.fakes import make_client
from tests.serve.generation_samples import EVENTS, FakeGenerationBackend

ASK = "/v1/attribute"
RECORDS = (Share, TimelineItem, ModelIdentity, Rights, Citation, Ruling, Flag, Block)


def closed(schema):
    """The components of /openapi.json, with unknown keys refused and every key required."""
    found = deepcopy(schema["components"])
    for component in found["schemas"].values():
        if "properties" in component:
            component |= {
                "additionalProperties": False,
                "required": list(component["properties"]),
            }
    return found


def test_the_schema_has_exactly_the_fields_of_the_records():
    client = make_client(generation=FakeGenerationBackend(EVENTS))
    components = client.get("/openapi.json").json()["components"]["schemas"]
    found = {kind: set(components[kind.__name__]["properties"]) for kind in RECORDS}
    assert found == {kind: {field.name for field in fields(kind)} for kind in RECORDS}
    verdict = {field.name for field in fields(Verdict)}
    assert set(components["ServedVerdict"]["properties"]) == verdict | {"policy"}
    assert "p_value: in (0, 1]" in components["ServedVerdict"]["description"]


def test_responses_have_exactly_the_keys_of_the_schema_and_of_the_clients_records():
    client = make_client()
    verdict = client.post(ASK, json={"text": "A ship."}).json()
    registry = client.get("/v1/registry").json()
    components = closed(client.get("/openapi.json").json())
    for name, body in (("ServedVerdict", verdict), ("RegistryOut", registry)):
        reference = {"$ref": f"#/components/schemas/{name}", "components": components}
        Draft202012Validator(reference).validate(body)
    assert json.loads(json.dumps(parse(ServedVerdict, verdict).to_dict())) == verdict
    known = {field.name for field in fields(Registry)}
    assert json.loads(json.dumps(asdict(parse(Registry, registry)))) == {
        key: value for key, value in registry.items() if key in known
    }
    assert set(registry) - known == {"policy"}


def test_the_examples_of_responses_are_valid():
    components = closed(make_client().get("/openapi.json").json())
    for name, example in (("ServedVerdict", VERDICT), ("RegistryOut", REGISTRY)):
        reference = {"$ref": f"#/components/schemas/{name}", "components": components}
        Draft202012Validator(reference).validate(example)


def test_the_examples_of_the_request_are_valid():
    examples = AttributeRequest.model_config["json_schema_extra"]["examples"]
    assert [AttributeRequest.model_validate(example).text is None for example in examples] == [
        False,
        True,
        True,
    ]
