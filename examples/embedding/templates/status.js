/** Answers names such as `status/192.0.2.7` with a text or bytes; null leaves the name to the next route. */
export default async function status(request, context) {
  if (request.captures.ip === '0.0.0.0') return null;
  return `${request.captures.ip} asked for by ${request.client}, ${context.node?.name ?? 'nobody we know'}\n`;
}
