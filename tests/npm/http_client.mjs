// Node's own HTTP clients (http.Agent and fetch) as peers of a worker. usage: node http_client.mjs WORKER_PORT
// The worker has "/m/*" for every method, in front of the scenes' model.
import http from 'node:http';
import zlib from 'node:zlib';
import assert from 'node:assert/strict';
import { once } from 'node:events';

const port = Number(process.argv[2]);
const base = `http://127.0.0.1:${port}/m`;

function ask(agent, method, path, { headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host: '127.0.0.1', port, method, path: `/m${path}`, headers, agent });
        request.on('error', reject);
        request.on('response', (response) => {
            const pieces = [];
            response.on('data', (piece) => pieces.push(piece));
            response.on('error', reject);
            response.on('end', () => {
                assert.ok(response.complete);
                resolve({ status: response.statusCode, headers: response.headers, raw: response.rawHeaders, body: Buffer.concat(pieces), reused: request.reusedSocket });
            });
        });
        request.end(body);
    });
}

const bytes = (n) => Buffer.alloc(n).map((_, i) => (i * 2654435761) >>> 13);

// One kept connection, whatever the answers are like.
{
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const calls = [['GET', '/size/100', 200], ['HEAD', '/size/100', 200], ['GET', '/empty', 204], ['POST', '/mirror', 200], ['PUT', '/mirror', 200],
        ['PATCH', '/echo', 200], ['DELETE', '/echo', 200], ['OPTIONS', '/echo', 200], ['GET', '/nothing', 200], ['GET', '/status/404', 404],
        ['GET', '/status/500', 500], ['PROPFIND', '/echo', 200]];
    for (let round = 0; round < 5; round++)
        for (const [i, [method, path, status]] of calls.entries()) {
            const hasBody = ['POST', 'PUT', 'PATCH'].includes(method);
            const answer = await ask(agent, method, path, { body: hasBody ? `body ${i}` : undefined });
            assert.equal(answer.status, status, `${method} ${path}`);
            assert.equal(answer.reused, round + i > 0, `${method} ${path} came over a new connection`);
            if (path === '/echo') assert.equal(JSON.parse(answer.body).method, method);
            if (path === '/mirror') assert.equal(String(answer.body), `body ${i}`);
            if (method === 'HEAD') assert.deepEqual([answer.headers['content-length'], answer.body.length], ['100', 0]);
        }
    const seen = await ask(agent, 'GET', '/mirror', { headers: { 'If-None-Match': '"v1"' } });
    assert.deepEqual([seen.status, seen.headers.etag, seen.body.length, seen.reused], [304, '"v1"', 0, true]);
    assert.deepEqual(seen.headers['set-cookie'], ['a=1', 'b=2']);
    agent.destroy();
}

// Many at once on a few connections: nobody gets another's answer.
{
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    await Promise.all(Array.from({ length: 300 }, async (_, i) => {
        const body = `${i} `.repeat(1 + (i % 50) * 40);
        const answer = await ask(agent, 'POST', '/mirror', { body, headers: { 'Content-Type': 'text/plain', 'X-Request-Id': `n-${i}` } });
        assert.equal(String(answer.body), body);
        assert.equal(answer.headers['x-request-id'], `n-${i}`);
    }));
    agent.destroy();
}

// Pieces up, a compressed body that nobody touches, pieces down.
{
    const plain = bytes(3 << 20);
    const packed = zlib.gzipSync(plain);
    const request = http.request(`${base}/mirror`, { method: 'POST', headers: { 'Content-Type': 'application/x-tar', 'Content-Encoding': 'gzip' } });
    for (let at = 0; at < packed.length; at += 100_000) {
        if (!request.write(packed.subarray(at, at + 100_000))) await once(request, 'drain');
    }
    request.end();
    const [response] = await once(request, 'response');
    assert.equal(response.headers['content-encoding'], 'gzip');
    const pieces = [];
    for await (const piece of response.pipe(zlib.createGunzip())) pieces.push(piece);
    assert.ok(Buffer.concat(pieces).equals(plain));
}

// The client asks before it sends.
{
    const request = http.request(`${base}/mirror`, { method: 'PUT', headers: { Expect: '100-continue', 'Content-Length': 5 } });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('hello');
    const [response] = await once(request, 'response');
    assert.equal(response.statusCode, 200);
    let text = '';
    for await (const piece of response) text += piece;
    assert.equal(text, 'hello');
}

// A form with a file, taken apart again out of what comes back.
{
    const file = bytes(300_000), form = new FormData();
    form.append('model', 'whisper-1');
    form.append('prompt', 'h\u00e9llo \u{1f600}\r\nsecond line');
    form.append('file', new Blob([file], { type: 'audio/mpeg' }), 'a "file".mp3');
    const answer = await fetch(`${base}/mirror`, { method: 'POST', body: form });
    assert.match(answer.headers.get('content-type'), /^multipart\/form-data; boundary=/);
    const back = await answer.formData();
    assert.equal(back.get('model'), 'whisper-1');
    assert.equal(back.get('prompt'), 'h\u00e9llo \u{1f600}\r\nsecond line');
    assert.equal(back.get('file').name, 'a "file".mp3');
    assert.equal(back.get('file').type, 'audio/mpeg');
    assert.ok(Buffer.from(await back.get('file').arrayBuffer()).equals(file));
}

// Who leaves in the middle disturbs nobody.
{
    const request = http.get(`${base}/flood`);
    const [response] = await once(request, 'response');
    await once(response, 'data');
    response.on('error', () => {});
    request.on('error', () => {});
    request.destroy();
    assert.equal((await fetch(`${base}/size/10`)).status, 200);
}
console.log('http client: all well');
process.exit(0);
