// Reads a JSON array of questions on standard input, writes an array of answers: what IAM decides on each.
import { runSimulation } from '@cloud-copilot/iam-simulate';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const answers = [];
for (const question of JSON.parse(Buffer.concat(chunks).toString())) {
  const answer = await runSimulation({
    request: {
      principal: question.principal,
      action: question.action,
      resource: { resource: question.resource, accountId: question.account },
      contextVariables: question.context,
    },
    identityPolicies: question.identity.map((policy, number) => ({ name: `identity-${number}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: question.resourcePolicy ?? undefined,
    permissionBoundaryPolicies: question.boundary ? [{ name: 'boundary', policy: question.boundary }] : undefined,
  }, {});
  answers.push(answer.overallResult ?? `error: ${JSON.stringify(answer.errors)}`);
}
console.log(JSON.stringify(answers));
