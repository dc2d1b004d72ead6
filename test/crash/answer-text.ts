/**
 * What the provider of the campaign answers. An answer names the message that it answers, so that mixed-up answers
 * show; a number, so that a second answer to the same message is another; and its own end, so that a cut one shows.
 */

/** The answer in the pieces in which it is streamed. */
export function answerPieces(number: number, question: string): string[] {
  const words = question.split(/(?<=\s)/);
  return [`Answer ${number} to `, ...words, ', said and done, ', `end of ${number}.`];
}

/** Whether the text is a whole answer to this question. */
export function isAnswerTo(answer: string, question: string): boolean {
  const number = /^Answer (\d+) to /.exec(answer)?.[1];
  return number !== undefined && answer === answerPieces(Number(number), question).join('');
}
