// OpenAI's own client (npm: openai, version 4), unmodified, against a worker with bearer handlers.
// usage: node openai_client.mjs WORKER_PORT MODEL_PORT   (openai is found through the folder VW_NPM or beside this file)
// The worker's key is "right-key"; "/v1/*" goes to the simulator's model, "/one/v1/*" takes one request at a time and lets none wait,
// "/vast" wants an envelope and checks no signature. See scene_npm.c.
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';

const require = createRequire(process.env.VW_NPM ? process.env.VW_NPM + '/' : import.meta.url);
const OpenAI = require('openai');
const [workerPort, modelPort] = process.argv.slice(2).map(Number);
const worker = `http://127.0.0.1:${workerPort}`, model = `http://127.0.0.1:${modelPort}`;
const make = (path = '/v1', options = {}) => new OpenAI({ apiKey: 'right-key', baseURL: worker + path, maxRetries: 0, ...options });
const client = make();
const messages = [{ role: 'user', content: 'Say something.' }];
const chat = (options) => ({ model: 'sim', messages, ...options });

async function until(test) {
    while (!(await test())) await new Promise((resolve) => setTimeout(resolve, 10));
}
const counted = async (line) => (await (await fetch(worker + '/metrics')).text()).split('\n').some((l) => l.startsWith(line) && !l.endsWith(' 0'));
const behave = (rule) => fetch(model + '/sim/behave', { method: 'POST', body: JSON.stringify(rule) });

// What works against OpenAI works here.
{
    const { data, response, request_id } = await client.chat.completions.create(chat({ max_tokens: 5 })).withResponse();
    assert.equal(data.object, 'chat.completion');
    assert.equal(data.choices[0].message.role, 'assistant');
    assert.ok(data.choices[0].message.content.length > 0);
    assert.equal(data.usage.completion_tokens, 5);
    assert.match(request_id, /^[0-9a-f]{32}$/);
    assert.equal(response.status, 200);
    assert.equal(data._request_id, request_id);

    const last = (await (await fetch(model + '/sim/state')).json()).last;
    assert.ok(!JSON.stringify(last).includes('right-key'));
    assert.ok(JSON.stringify(last).includes(request_id));
    assert.match(JSON.stringify(last), /x-stainless-lang/i);
}
{
    const stream = await client.chat.completions.create(chat({ max_tokens: 12, stream: true }));
    let text = '', chunks = 0, finish = null;
    for await (const chunk of stream) {
        assert.equal(chunk.object, 'chat.completion.chunk');
        text += chunk.choices[0]?.delta?.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        chunks++;
    }
    assert.ok(text.length > 0 && chunks >= 12);
    assert.equal(finish, 'length');
}
{
    const runner = client.beta.chat.completions.stream(chat({ max_tokens: 6 }));
    const deltas = [];
    runner.on('content', (delta) => deltas.push(delta));
    assert.equal(await runner.finalContent(), deltas.join(''));
    const completion = await client.completions.create({ model: 'sim', prompt: 'Once', max_tokens: 4 });
    assert.ok(completion.choices[0].text.length > 0);
}
{
    const one = await client.embeddings.create({ model: 'sim', input: 'hello', encoding_format: 'float' });
    assert.equal(one.data[0].embedding.length, 8);
    const many = await client.embeddings.create({ model: 'sim', input: Array.from({ length: 100 }, (_, i) => `text ${i}`), encoding_format: 'float' });
    assert.deepEqual(many.data.map((row) => row.index), Array.from({ length: 100 }, (_, i) => i));
    const models = await client.models.list();
    assert.ok(models.data.length > 0);
}
{
    const named = await client.models.list({ headers: { 'X-Request-Id': 'my-own-name' } }).withResponse();
    assert.equal(named.request_id, 'my-own-name');
}
{
    const all = await Promise.all(Array.from({ length: 40 }, () => client.chat.completions.create(chat({ max_tokens: 3 }))));
    assert.ok(all.every((one) => one.choices[0].message.content));
}

// Our refusals are its own errors.
async function refused(promise, Class, status, code, type) {
    const error = await promise.then(() => assert.fail('was served'), (e) => e);
    assert.ok(error instanceof Class && error instanceof OpenAI.APIError, `${error?.constructor?.name}: ${error}`);
    assert.deepEqual([error.status, error.code, error.type], [status, code, type]);
    assert.match(error.message, new RegExp(`^${status} [A-Za-z].+`));
    assert.match(error.request_id, /^[0-9a-f]{32}$/);
    assert.equal(error.headers['x-vastworker-reason'], code);
    return error;
}
{
    const e = await refused(make('/v1', { apiKey: 'wrong-key' }).models.list(), OpenAI.AuthenticationError, 401, 'bad_key', 'authentication_error');
    assert.equal(e.headers['www-authenticate'], 'Bearer realm="vastworker", error="invalid_token"');
    assert.ok(!e.message.includes('wrong-key'));
    await refused(make('/v1', { apiKey: 'wrong-key' }).chat.completions.create(chat({ stream: true })), OpenAI.AuthenticationError, 401, 'bad_key',
        'authentication_error');
    await refused(client.models.list({ headers: { Authorization: null } }), OpenAI.AuthenticationError, 401, 'no_credentials', 'authentication_error');
    await refused(make('/nowhere').models.list(), OpenAI.NotFoundError, 404, 'no_route', 'invalid_request_error');
    await refused(make('/one/v1').models.list(), OpenAI.APIError, 405, 'method_not_allowed', 'invalid_request_error');
    await refused(client.get('/a%5cb'), OpenAI.BadRequestError, 400, 'bad_request', 'invalid_request_error');
    await refused(client.post('/large', { body: { text: 'x'.repeat(2_000_000) } }), OpenAI.APIError, 413, 'body_too_large', 'invalid_request_error');
    await behave({ path: '/v1/completions', reset: true, times: 1 });
    await refused(client.completions.create({ model: 'sim', prompt: 'x' }), OpenAI.InternalServerError, 502, 'model_reset', 'server_error');
}
{ // the platform's own body, whose error is a word
    const e = await make('').post('/vast', { body: { payload: 5 } }).then(() => assert.fail('was served'), (error) => error);
    assert.ok(e instanceof OpenAI.UnprocessableEntityError);
    assert.equal(e.headers['x-vastworker-reason'], 'invalid_envelope');
}
{ // and the model's errors are the model's
    await behave({ path: '/v1/completions', fail: 503, times: 1 });
    const e = await client.completions.create({ model: 'sim', prompt: 'x' }).then(() => assert.fail('was served'), (error) => error);
    assert.ok(e instanceof OpenAI.InternalServerError && e.status === 503);
    assert.equal(e.headers['x-vastworker-reason'], undefined);
}

// A full worker is a rate limit, which the client waits out.
{
    const holder = await make('/one/v1').chat.completions.create(chat({ max_tokens: 100000, stream: true }));
    const reader = holder[Symbol.asyncIterator]();
    await reader.next();
    const e = await refused(make('/one/v1').chat.completions.create(chat()), OpenAI.RateLimitError, 429, 'predicted_wait', 'rate_limit_error');
    assert.ok(Number(e.headers['retry-after']) >= 1);
    const patient = make('/one/v1', { maxRetries: 8 }).chat.completions.create(chat({ max_tokens: 2 })).withResponse();
    await until(async () => /reason="predicted_wait"} [2-9]/.test(await (await fetch(worker + '/metrics')).text()));
    holder.controller.abort(); // who leaves makes room, and the model stops
    const { data } = await patient;
    assert.ok(data.choices[0].message.content);
    await until(() => counted('vastworker_requests_total{route="/one/v1/*",outcome="cancelled"}'));
    await until(async () => (await (await fetch(model + '/sim/state')).json()).requests.in_flight === 0
        || (await (await fetch(model + '/sim/state')).json()).in_flight === 0);
}

// A model that dies in the middle of a stream is an error, not an end.
{
    await behave({ path: '/v1/chat/completions', reset: true, after_tokens: 3, times: 1 });
    let chunks = 0;
    const e = await (async () => {
        for await (const chunk of await client.chat.completions.create(chat({ max_tokens: 50, stream: true }))) chunks += chunk.choices.length ? 1 : 0;
        return null;
    })().catch((error) => error);
    assert.ok(e instanceof OpenAI.APIError, `${e}`);
    assert.equal(e.code, 'model_reset');
    assert.ok(chunks >= 3 && chunks < 50);
}
console.log('openai client: all well');
process.exit(0);
