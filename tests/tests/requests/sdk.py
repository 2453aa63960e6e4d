"""Calls of the providers' own SDKs, each by its method; what comes back is of no interest. sdk.py CLIENT

CANARY, a secret, is the key, what is said, and in queries."""

import asyncio
import io
import os
import sys
import time

SECRET = os.environ.get("CANARY", "secret")
FILE = ("notes.txt", SECRET.encode())
MESSAGES = [{"role": "user", "content": SECRET}]


def each(*calls):
    for call in calls:
        try:
            answer = call()
            if hasattr(answer, "__iter__") and not isinstance(answer, (dict, str, bytes)):
                for _ in answer:
                    pass
        except Exception as error:
            print(f"{type(error).__name__}: {error}"[:200], file=sys.stderr)


def openai_calls(client, model):
    return [
        lambda: client.chat.completions.create(model=model, messages=MESSAGES),
        lambda: client.chat.completions.create(model=model, messages=MESSAGES, stream=True),
        lambda: client.responses.create(model=model, input=SECRET),
        lambda: client.responses.create(model=model, input=SECRET, stream=True),
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.responses.delete("resp_1"),
        lambda: client.conversations.create(),
        lambda: client.files.list(),
        lambda: client.files.create(file=FILE, purpose="assistants"),
        lambda: client.batches.list(),
        lambda: client.embeddings.create(model=model, input=SECRET),
        lambda: client.moderations.create(input=SECRET),
        lambda: client.models.list(),
    ]


def openai():
    import openai as sdk

    each(*openai_calls(sdk.OpenAI(api_key=SECRET, max_retries=0), "gpt-5.5"))


def openai_async():
    import openai as sdk

    async def all_of_them():
        client = sdk.AsyncOpenAI(api_key=SECRET, max_retries=0)
        for call in openai_calls(client, "gpt-5.5"):
            try:
                answer = call()
                answer = await answer if asyncio.iscoroutine(answer) else answer
                if hasattr(answer, "__aiter__"):
                    async for _ in answer:
                        pass
            except Exception as error:
                print(f"{type(error).__name__}: {error}"[:200], file=sys.stderr)

    asyncio.run(all_of_them())


def realtime():
    import openai as sdk

    client = sdk.OpenAI(api_key=SECRET, max_retries=0)

    def connect():
        with client.realtime.connect(model="gpt-realtime"):
            pass

    each(connect)


def azure():
    import openai as sdk

    client = sdk.AzureOpenAI(
        api_key=SECRET, api_version="2026-01-01", azure_endpoint="https://acme.openai.azure.com", max_retries=0
    )
    each(*openai_calls(client, "gpt-5-deployment"))


def anthropic():
    import anthropic as sdk

    client = sdk.Anthropic(api_key=SECRET, max_retries=0)
    message = {"model": "claude-x", "max_tokens": 10, "messages": MESSAGES}
    each(
        lambda: client.messages.create(**message),
        lambda: client.messages.create(**message, stream=True),
        lambda: client.messages.count_tokens(model="claude-x", messages=MESSAGES),
        lambda: client.messages.batches.list(),
        lambda: client.models.list(),
        lambda: client.beta.files.list(),
    )


def boto3():
    import boto3 as sdk
    from botocore.config import Config

    keys = {"aws_access_key_id": SECRET, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    config = Config(retries={"max_attempts": 0})
    runtime = sdk.client("bedrock-runtime", config=config, **keys)
    agents = sdk.client("bedrock-agent-runtime", config=config, **keys)
    talk = {"messages": [{"role": "user", "content": [{"text": SECRET}]}]}
    each(
        lambda: runtime.converse(modelId="us.openai.gpt-5.5", **talk),
        lambda: runtime.converse_stream(modelId="anthropic.claude-x-v1:0", **talk)["stream"],
        lambda: runtime.invoke_model(modelId="amazon.nova-x", body=b"{}"),
        lambda: runtime.invoke_model(
            modelId="arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-x", body=b"{}"
        ),
        lambda: runtime.list_async_invokes(),
        lambda: agents.invoke_agent(agentId="A1", agentAliasId="B2", sessionId="s1", inputText=SECRET),
        lambda: agents.retrieve(knowledgeBaseId="ABCDEFGHIJ", retrievalQuery={"text": SECRET}),
        lambda: agents.create_session(),
    )


def genai():
    from google import genai as sdk

    client = sdk.Client(api_key=SECRET)
    each(
        lambda: client.models.generate_content(model="gemini-x", contents=SECRET),
        lambda: client.models.generate_content_stream(model="gemini-x", contents=SECRET),
        lambda: client.models.count_tokens(model="gemini-x", contents=SECRET),
        lambda: client.files.list(),
        lambda: client.models.list(),
    )


def requests():
    import requests as sdk

    session = sdk.Session()
    each(*(lambda path=path: session.post("https://api.openai.com" + path, json={"said": SECRET}) for path in PATHS))


def httpx():
    import httpx as sdk

    client = sdk.Client()
    each(*(lambda path=path: client.post("https://api.openai.com" + path, json={"said": SECRET}) for path in PATHS))


def httpx_http2():
    import httpx as sdk

    client = sdk.Client(http2=True)
    each(*(lambda path=path: client.post("https://api.openai.com" + path, json={"said": SECRET}) for path in PATHS))


def curl_cffi():
    from curl_cffi import CurlHttpVersion
    from curl_cffi import requests as sdk

    for version in (CurlHttpVersion.V1_1, CurlHttpVersion.V2_0):
        session = sdk.Session(http_version=version, verify=os.environ["SSL_CERT_FILE"])
        each(*(lambda path=path: session.post("https://api.openai.com" + path, json={"said": SECRET}) for path in PATHS))
    # No folder of the host has its library: it is found while somebody has it.
    time.sleep(2.5)


def openai_http2():
    import httpx
    import openai as sdk

    async def all_of_them():
        client = sdk.AsyncOpenAI(api_key=SECRET, http_client=httpx.AsyncClient(http2=True))
        talk = {"model": "gpt-x", "messages": [{"role": "user", "content": SECRET}]}
        for _ in range(3):
            await asyncio.gather(
                client.chat.completions.create(**talk),
                client.responses.create(model="gpt-x", input=SECRET),
                client.embeddings.create(model="e", input=SECRET),
                client.files.list(),
                client.conversations.create(),
                client.batches.list(),
                return_exceptions=True,
            )

    asyncio.run(all_of_them())


def aiohttp():
    import ssl

    import aiohttp as sdk

    async def all_of_them():
        async with sdk.ClientSession() as session:
            for path in PATHS:
                async with session.post("https://api.openai.com" + path, json={"said": SECRET}, ssl=ssl.create_default_context()) as answer:
                    await answer.read()

    asyncio.run(all_of_them())


PATHS = ["/v1/embeddings", f"/v1/responses?key={SECRET}", "/v1/files", "/v1/embeddings", "/v1/threads/t_1/runs", "/v1/nowhere"]

globals()[sys.argv[1]]()
