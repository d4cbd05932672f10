// A peer of gRPC that sends small messages, as a server and as a client; see matrix.py.
"use strict";
const grpc = require("@grpc/grpc-js");

const raw = { serialize: m => m, deserialize: m => m };
const method = (name, stream) => ({
  path: `/small.Peer/${name}`, requestStream: stream, responseStream: stream,
  requestSerialize: raw.serialize, requestDeserialize: raw.deserialize,
  responseSerialize: raw.serialize, responseDeserialize: raw.deserialize });
const service = { Echo: method("Echo", false), Chat: method("Chat", true) };

function serve() {
  const server = new grpc.Server();
  server.addService(service, {
    Echo: (call, callback) => callback(null, call.request),
    Chat: call => {
      call.on("data", m => { if (!call.write(m)) { call.pause(); call.once("drain", () => call.resume()); } });
      call.on("end", () => call.end());
      call.on("error", () => {});
    },
  });
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(port);
  });
  process.stdin.on("data", () => {}).on("end", () => { server.forceShutdown(); process.exit(0); });
}

const message = i => Buffer.alloc(i % 17, i & 0xff); // of 0 to 16 bytes

// An error's text, or null.
function stream(client, messages, deadline) {
  return new Promise(resolve => {
    const call = client.Chat({ deadline });
    let received = 0, sent = 0, wrong = null;
    const write = () => {
      while (sent < messages)
        if (!call.write(message(sent++))) { call.once("drain", write); return; }
      call.end();
    };
    call.on("data", m => { if (!m.equals(message(received++))) wrong = wrong || `message ${received - 1} is another`; });
    call.on("error", () => {});
    call.on("status", s => resolve(s.code ? `at message ${received}: ${s.code} ${s.details}`
      : wrong || (received === messages ? null : `${received} messages came`)));
    write();
  });
}

async function call(address, streams, messages, seconds) {
  const Client = grpc.makeGenericClientConstructor(service);
  const client = new Client(address, grpc.credentials.createInsecure(),
    { "grpc.enable_http_proxy": 0, "grpc.enable_retries": 0 });
  const deadline = Date.now() + seconds * 1e3;
  const result = { streams_failed: [], unary: 0, unary_failed: [] };
  let running = true;
  const all = Promise.all(Array.from({ length: streams }, () => stream(client, messages, deadline)))
    .then(failures => { result.streams_failed = failures.filter(f => f); running = false; });
  do {
    const m = message(result.unary++);
    await new Promise(resolve => client.Echo(m, { deadline }, (error, answer) => {
      if (error) result.unary_failed.push(`${error.code} ${error.details}`);
      else if (!answer.equals(m)) result.unary_failed.push("another answer");
      setTimeout(resolve, 10);
    }));
  } while (running);
  await all;
  console.log(JSON.stringify(result));
  process.exit(0);
}

const [command, address, ...numbers] = process.argv.slice(2);
if (command === "serve") serve();
else call(address, ...numbers.map(Number));
