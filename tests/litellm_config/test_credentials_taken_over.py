"""What becomes of credentials and of the master key."""

from __future__ import annotations

import pytest

from litellm_translations import objects, specs, told, translated
from sluicegate.litellm_config import written

KEY = "sk-a-master-key-of-some-length"

# --- credentials ---


def test_a_variable_becomes_one_secret_however_often_it_is_used() -> None:
    found = translated(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY}}\n"
        "- {model_name: b, litellm_params: {model: openai/y, api_key: os.environ/OPENAI_API_KEY}}\n"
    )
    assert objects(found, "Secret")["openai-api-key"]["stringData"] == {
        "api-key": "$(OPENAI_API_KEY)"
    }
    reference = {"secretRef": {"name": "openai-api-key", "key": "api-key"}}
    assert [each["credentials"] for each in specs(found).values()] == [reference, reference]
    assert len(objects(found, "Secret")) == 1


def test_a_key_in_plain_text_is_in_a_secret_and_in_no_finding() -> None:
    found = translated(
        "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/x\n"
        "    api_key: sk-in-plain-text\n"
    )
    assert objects(found, "Secret")["a-key"]["stringData"] == {"api-key": "sk-in-plain-text"}
    assert (5, "model_list[0].litellm_params.api_key") in told(found, "warning")
    assert "sk-in-plain-text" not in "".join(map(str, found.findings)) + repr(found)


@pytest.mark.parametrize("key", ["$(HOME)", "${HOME}", "$HOME"])
def test_a_variable_as_others_write_it_is_no_key(key: str) -> None:
    found = translated(
        f"model_list:\n- {{model_name: a, litellm_params: {{model: openai/x, api_key: '{key}'}}}}\n"
        f"general_settings: {{master_key: '{key}'}}\n"
    )
    assert [each.line for each in found.findings if each.severity == "error"] == [2, 3]
    assert "HOME" not in written(manifest.value for manifest in found.manifests)
    assert objects(found, "ApiKey") == {}


def test_aws_keys_a_role_and_a_bearer_token() -> None:
    found = translated(
        "model_list:\n"
        "- model_name: keys\n"
        "  litellm_params: {model: bedrock/x.y, aws_access_key_id: os.environ/ID,\n"
        "    aws_secret_access_key: os.environ/SECRET, aws_session_token: os.environ/TOKEN}\n"
        "- model_name: role\n"
        "  litellm_params: {model: bedrock/x.y, aws_session_name: me,\n"
        "    aws_role_name: 'arn:aws:iam::123456789012:role/r'}\n"
        "- {model_name: bearer, litellm_params: {model: bedrock/x.y, api_key: os.environ/B}}\n"
        "- {model_name: ambient, litellm_params: {model: bedrock/x.y}}\n"
    )
    keys = objects(found, "ApiKey")
    assert keys["keys-aws"]["spec"] == {"upstream": {"aws": {"secretRef": {"name": "id"}}}}
    assert objects(found, "Secret")["id"]["stringData"] == {
        "aws_access_key_id": "$(ID)",
        "aws_secret_access_key": "$(SECRET)",
        "aws_session_token": "$(TOKEN)",
    }
    assert keys["role-aws"]["spec"]["upstream"]["aws"] == {
        "roleARN": "arn:aws:iam::123456789012:role/r",
        "sessionName": "me",
    }
    made = specs(found)
    assert made["bearer"]["credentials"] == {"secretRef": {"name": "b", "key": "api-key"}}
    assert "credentials" not in made["ambient"]


def test_google_credentials_are_json_a_variable_or_a_file() -> None:
    file = '{"type": "service_account", "project_id": "from-the-file"}'
    text = (
        "model_list:\n"
        "- model_name: variable\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_project: p,\n"
        "    vertex_credentials: os.environ/GOOGLE}\n"
        "- model_name: file\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_credentials: sa.json}\n"
    )
    found = translated(text, others={"sa.json": file})
    secrets = objects(found, "Secret")
    assert secrets["google"]["stringData"] == {"credentials.json": "$(GOOGLE)"}
    assert secrets["file-google"]["stringData"] == {"credentials.json": file}
    assert specs(found)["file"]["provider"]["vertexAI"]["project"] == "from-the-file"
    assert found.files == ("config.yaml", "sa.json")


@pytest.mark.parametrize("empty", ["{}", "'{}'"])
def test_google_credentials_without_any_member_are_none(empty: str) -> None:
    found = translated(
        "model_list:\n"
        "- model_name: m\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_project: p,\n"
        f"    vertex_credentials: {empty}}}\n"
    )
    assert not objects(found, "ModelDeployment")
    assert [key for _, key in told(found, "error")] == [
        "model_list[0].litellm_params.vertex_credentials"
    ]


def test_a_server_without_a_key_never_gets_the_ambient_one() -> None:
    text = (
        "model_list:\n- model_name: m\n"
        "  litellm_params: {model: hosted_vllm/x, api_base: 'http://v/v1'}\n"
    )
    found = translated(text)
    assert objects(found, "Secret")["no-key"]["stringData"] == {"api-key": "none"}
    assert specs(found)["m"]["credentials"] == {"secretRef": {"name": "no-key", "key": "api-key"}}


def test_variables_that_the_configuration_sets_itself() -> None:
    found = translated(
        "environment_variables: {OPENAI_API_KEY: sk-written, UNUSED: x, K: os.environ/OTHER}\n"
        "model_list:\n"
        "- {model_name: ambient, litellm_params: {model: openai/x}}\n"
        "- {model_name: other, litellm_params: {model: openai/x, api_key: os.environ/K}}\n"
    )
    secrets = objects(found, "Secret")
    assert secrets["ambient-key"]["stringData"] == {"api-key": "sk-written"}
    assert secrets["other"]["stringData"] == {"api-key": "$(OTHER)"}
    assert (1, "environment_variables.UNUSED") in told(found, "warning")


def test_credentials_by_name() -> None:
    found = translated(
        "credential_list:\n"
        "- credential_name: eu\n"
        "  credential_values: {api_key: os.environ/K, api_base: 'https://r.openai.azure.com'}\n"
        "model_list:\n"
        "- {model_name: m, litellm_params: {model: azure/x, litellm_credential_name: eu}}\n"
    )
    spec = specs(found)["m"]
    assert spec["provider"]["openai"]["baseURL"] == "https://r.openai.azure.com/openai/v1"
    assert spec["credentials"]["secretRef"]["name"] == "k"


# --- the master key ---


def test_the_master_key_in_a_variable_stays_there() -> None:
    found = translated("general_settings: {master_key: os.environ/M}\nmodel_list: []\n")
    assert objects(found, "ApiKey")["litellm-master-key"]["spec"] == {
        "client": {"secretRef": {"name": "m", "key": "key"}}
    }
    assert objects(found, "Secret")["m"]["stringData"] == {"key": "$(M)"}


@pytest.mark.parametrize(
    ("text", "environ", "severity"),
    [
        (f"{{master_key: {KEY}}}", {}, "note"),
        ("{master_key: sk-1234}", {}, "warning"),
        ("{master_key: os.environ/M}", {"M": "sk-1234"}, "warning"),
        ("{}", {"LITELLM_MASTER_KEY": "sk-1234"}, "warning"),
    ],
)
def test_a_master_key_that_a_secret_can_not_hold_becomes_its_hash(
    text: str, environ: dict[str, str], severity: str
) -> None:
    found = translated(f"general_settings: {text}\nmodel_list: []\n", environ)
    spec = objects(found, "ApiKey")["litellm-master-key"]["spec"]
    assert spec["client"]["keyHash"].startswith("sha256:")
    assert (1, "general_settings.master_key") in told(found, severity)
    assert "1234" not in str(found.findings)


def test_no_master_key_is_told() -> None:
    found = translated("model_list: []\n")
    assert any("--allow-anonymous" in each.message for each in found.findings)
