// One request each for queries and mutations, one event stream each for
// subscriptions (GraphQL over SSE, distinct connections).

const single = 'application/graphql-response+json, application/json;q=0.9';

function isSubscription(params, document) {
  const operations = document?.definitions.filter((d) => d.kind === 'OperationDefinition') ?? [];
  const named = operations.find((d) => d.name?.value === params.operationName);
  return (named ?? operations[0])?.operation === 'subscription';
}

function post(params, headers, accept, signal) {
  return fetch('graphql', {
    method: 'POST',
    credentials: 'same-origin',
    headers: { ...headers, 'Content-Type': 'application/json', Accept: accept },
    body: JSON.stringify(params),
    signal,
  });
}

export function fetcher(params, options) {
  if (!isSubscription(params, options?.documentAST)) {
    return post(params, options?.headers, single).then((res) => res.json());
  }
  const stop = new AbortController();
  const events = read(post(params, options?.headers, 'text/event-stream', stop.signal), stop.signal);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => events.next(),
    // A generator waiting for the next event would not hear return(): abort the request itself.
    return() {
      stop.abort();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

async function* read(answer, signal) {
  try {
    const res = await answer;
    if (!res.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      yield await res.json();
      return;
    }
    let rest = '';
    const decoder = new TextDecoder();
    const reader = res.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const blocks = (rest + decoder.decode(value, { stream: true }).replaceAll('\r', '')).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const { event, data } = parse(block);
        if (event === 'complete') {
          return;
        }
        if (event === 'next' && data) {
          yield JSON.parse(data);
        }
      }
    }
  } catch (e) {
    if (!signal.aborted) {
      throw e;
    }
  }
}

function parse(block) {
  const out = { event: 'message', data: '' };
  for (const line of block.split('\n')) {
    const [, name, value] = /^(event|data): ?(.*)$/.exec(line) ?? [];
    if (name === 'event') {
      out.event = value;
    } else if (name === 'data') {
      out.data += (out.data && '\n') + value;
    }
  }
  return out;
}
