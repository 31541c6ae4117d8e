// Writes ../app.js, ../app.css and ../LICENSES.txt. The result depends on the
// lock file alone, so that anybody can check the committed files.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

// The page never scrolls. What hides its scroll bar behind a dialog would write a
// <style> element, which our Content-Security-Policy refuses.
const noScrollBar = {
  name: 'no-scroll-bar',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^react-remove-scroll-bar$/ }, () => ({ path: 'none', namespace: 'no-scroll-bar' }));
    onLoad({ filter: /.*/, namespace: 'no-scroll-bar' }, () => ({ contents: 'export const RemoveScrollBar = () => null;' }));
  },
};

const result = await build({
  entryPoints: ['app.jsx'],
  bundle: true,
  minify: true,
  jsx: 'automatic',
  format: 'esm',
  target: 'es2022',
  outdir: '..',
  write: false,
  metafile: true,
  plugins: [noScrollBar],
  legalComments: 'none', // LICENSES.txt has them in full
  define: { 'process.env.NODE_ENV': '"production"' },
});

for (const file of result.outputFiles) {
  // The fonts of the reader's machine do: this saves 300 kB of embedded ones.
  const text = file.path.endsWith('.css') ? file.text.replace(/@font-face\s*\{[^}]*\}/g, '') : file.text;
  writeFileSync(file.path, text);
}

// Some packages came without the text of their licence: those of a project whose
// text came with another package, and one that only names licence and author.
const sharesTextOf = {
  '@graphiql/plugin-doc-explorer': 'graphiql',
  '@graphiql/plugin-history': 'graphiql',
  'react-compiler-runtime': 'react',
  'react-remove-scroll-bar': 'react-remove-scroll',
};
const namesOnlyAuthor = { 'toggle-selection': 'sudodoki' };

const folder = (path) => /^(?:.*node_modules\/)(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
const text = (dir) =>
  readdirSync(dir)
    .filter((f) => /^(licen[cs]e|notice)/i.test(f))
    .map((f) => readFileSync(join(dir, f), 'utf8').trim())
    .join('\n\n');
const mit = text('node_modules/react').replace(/^[^]*(?=Permission is hereby granted)/, '');

function notice(dir) {
  const { name, version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  const terms =
    text(dir) ||
    (name in sharesTextOf && text(join('node_modules', sharesTextOf[name]))) ||
    (name in namesOnlyAuthor && license === 'MIT' && `Copyright (c) ${namesOnlyAuthor[name]}\n\n${mit}`);
  if (!terms) {
    throw new Error(`${name} ${version} (${license}) has no licence text`);
  }
  return `${name} ${version} (${license})\n\n${terms}\n`;
}

const folders = new Set(Object.keys(result.metafile.inputs).map(folder).filter(Boolean));
const notices = [...folders].map(notice).sort();
writeFileSync('../LICENSES.txt', notices.join(`\n${'-'.repeat(72)}\n\n`).replaceAll('\r', ''));
