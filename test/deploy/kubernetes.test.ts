/**
 * The manifests of deploy/kubernetes: held against the types of Kubernetes' API by the compiler, which knows every field,
 * and against each other and Parley where those cannot see.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { settings } from '../../src/config/schema.ts';
import { loadTexts } from '../load-texts.ts';
import { lastOf, parseDockerfile } from './dockerfile.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DIRECTORY = join(ROOT, 'deploy/kubernetes');
const read = (name: string) => readFileSync(join(DIRECTORY, name), 'utf8');

const kustomization = parse(read('kustomization.yaml'));
const manifests: any[] = kustomization.resources.flatMap((name: string) =>
  parseAllDocuments(read(name)).map((document) => document.toJS()),
);
const one = (kind: string, name = 'parley') => {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  assert.equal(found.length, 1, `${kind} ${name}`);
  return found[0];
};

const deployment = one('Deployment');
const pod = deployment.spec.template;
const [container] = pod.spec.containers;
const secret: Record<string, string> = Object.fromEntries(
  read('parley.env.example')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/=(.*)/s, 2)),
);

describe('the manifests for Kubernetes', () => {
  it('have the fields of its API and no others', () => {
    assert.equal(compile(manifests), '');
  });

  it('are held against types that find mistakes', () => {
    const wrong = structuredClone(manifests);
    const index = manifests.indexOf(deployment);
    wrong[index].spec.template.spec.containers[0].readynessProbe = {};
    assert.match(compile(wrong), /readynessProbe/);
  });

  it('select what is there', () => {
    const pods = [pod, one('StatefulSet', 'redis').spec.template];
    const isThere = (labels: Record<string, string>) =>
      pods.some(({ metadata }) =>
        Object.entries(labels).every(([name, value]) => metadata.labels[name] === value),
      );
    for (const { kind, metadata, spec } of manifests) {
      const selector =
        spec?.selector?.matchLabels ?? (kind === 'Service' ? spec.selector : spec?.podSelector?.matchLabels);
      if (selector !== undefined) assert.ok(isThere(selector), `${kind} ${metadata.name} selects nothing`);
    }
    const { scaleTargetRef, minReplicas } = one('HorizontalPodAutoscaler').spec;
    assert.deepEqual([scaleTargetRef.kind, scaleTargetRef.name], ['Deployment', deployment.metadata.name]);
    assert.ok(minReplicas >= 3);
    assert.equal(deployment.spec.replicas, undefined, 'how many there are is for the autoscaler to say');
  });

  it('lead ports and probes to where the server is', () => {
    const ports = new Map(container.ports.map(({ name, containerPort }: any) => [name, containerPort]));
    assert.equal(ports.get('http'), settings.PORT.default);
    for (const [probe, path] of [
      ['startupProbe', '/health'],
      ['livenessProbe', '/health'],
      ['readinessProbe', '/ready'],
    ] as const) {
      const { httpGet } = container[probe];
      assert.deepEqual([httpGet.path, httpGet.port], [path, 'http']);
    }
    assert.ok(one('Service').spec.ports.every(({ targetPort }: any) => ports.has(targetPort)));
    for (const rule of one('NetworkPolicy').spec.ingress) {
      for (const { port } of rule.ports) assert.ok(ports.has(port), `no port ${port}`);
    }
  });

  it('have settings that Parley takes', () => {
    assert.ok(
      container.envFrom.every(({ secretRef }: any) =>
        kustomization.secretGenerator.some(({ name }: any) => name === secretRef.name),
      ),
    );
    const plain = Object.fromEntries(container.env.map(({ name, value }: any) => [name, value]));
    const env = { ...secret, ...plain };
    for (const name of Object.keys(env)) assert.ok(name in settings, `${name} is no setting`);
    const config = loadTexts({ env });
    const redis = one('Service', 'redis');
    assert.equal(config.databaseUrl, `redis://${redis.metadata.name}:${redis.spec.ports[0].port}`);
    assert.equal(config.adminHost, '127.0.0.1');
    const sleep = container.lifecycle.preStop.sleep.seconds;
    assert.ok(pod.spec.terminationGracePeriodSeconds > sleep + config.shutdownGraceSeconds + 2);
  });

  it('keep no secret', () => {
    for (const name of ['API_KEYS', 'ADMIN_TOKEN', 'OPENAI_API_KEY', 'OPENROUTER_KEY']) {
      assert.equal(secret[name], '', name);
    }
    const ignored = readFileSync(join(ROOT, '.gitignore'), 'utf8').split('\n');
    assert.ok(ignored.includes('/deploy/kubernetes/parley.env'));
  });

  it('run the image as it is meant to be run', () => {
    const final = parseDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).at(-1)!;
    const { runAsUser, runAsGroup } = pod.spec.securityContext;
    assert.equal(lastOf(final, 'USER'), `${runAsUser}:${runAsGroup}`);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const [image] = kustomization.images;
    assert.deepEqual([image.name, image.newTag], [container.image, version]);
    assert.equal(one('Namespace').metadata.name, kustomization.namespace);
  });

  it('give no pod more rights than it needs', () => {
    for (const { spec } of [pod, one('StatefulSet', 'redis').spec.template]) {
      assert.equal(spec.automountServiceAccountToken, false);
      assert.equal(spec.securityContext.runAsNonRoot, true);
      assert.equal(spec.securityContext.seccompProfile.type, 'RuntimeDefault');
      for (const { securityContext, resources } of spec.containers) {
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        assert.ok(resources.requests.cpu && resources.requests.memory && resources.limits.memory);
      }
    }
  });
});

/** What the compiler says of them, each as a literal of its kind: nothing if they are well-formed. */
function compile(all: readonly any[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'parley-manifests-'));
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    const lines = all.map((manifest, index) => {
      const [group, version] = manifest.apiVersion.includes('/')
        ? manifest.apiVersion.split('/')
        : ['core', 'v1'];
      const from = `kubernetes-types/${group.replace(/\.k8s\.io$/, '')}/${version}`;
      return (
        `import type { ${manifest.kind} as Kind${index} } from '${from}';\n` +
        `export const manifest${index}: Kind${index} = ${JSON.stringify(manifest)};\n`
      );
    });
    const file = join(directory, 'manifests.ts');
    writeFileSync(file, lines.join(''));
    const options =
      '--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler --target esnext';
    const compiler = join(ROOT, 'node_modules/.bin/tsc');
    const { stdout, stderr } = spawnSync(compiler, [...options.split(' '), file], {
      encoding: 'utf8',
      cwd: directory,
    });
    return stdout + stderr;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
