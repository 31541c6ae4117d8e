// GraphiQL for OpenHandover. Everything it needs is in this bundle: it talks to
// the server that served it and to nobody else.
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import { buildSchema } from 'graphql';
import { createRoot } from 'react-dom/client';
import { fetcher } from './fetcher.js';

const welcome = `# Sign in first; the session is kept in a cookie:
#
#   mutation { signIn(input: { login: "admin", password: "…" }) { expiresAt } }
#
# Ctrl-Space completes, Ctrl-Enter runs, and the book on the left has the documentation.

{
  viewer {
    __typename
  }
}
`;

// The served SDL works before sign-in too, when introspection answers nothing.
async function schema() {
  const res = await fetch('schema.graphql');
  return res.ok ? buildSchema(await res.text(), { assumeValid: true }) : undefined;
}

const loaded = await schema().catch((e) => console.error(e));

// sessionStorage: what was typed, a password perhaps, goes when the tab is closed.
createRoot(document.getElementById('graphiql')).render(
  <GraphiQL fetcher={fetcher} schema={loaded} storage={sessionStorage} defaultQuery={welcome} showPersistHeadersSettings={false}>
    <GraphiQL.Logo>OpenHandover</GraphiQL.Logo>
  </GraphiQL>,
);
